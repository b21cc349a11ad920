/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOTARU_SETTINGS_H
#define HOTARU_SETTINGS_H

/* The configuration: one table that is the parser, `hotaru check` and the manual. */
#include "base/base.h"

#define SETTINGS(X)                                                                                                   \
    /* name            kind     default          unit  least  most        words */                                    \
    X(data,            TEXT,    "hotaru-data",   "",   0, 0,              "the folder that holds everything")         \
    X(store,           TEXT,    "",              "",   0, 0,              "postgres://… instead of SQLite in the data folder") \
    X(http,            TEXT,    "127.0.0.1:8080", "",  0, 0,              "address of the screens and the API")       \
    X(udp,             TEXT,    "127.0.0.1:1700", "",  0, 0,              "address for gateways (Semtech UDP)")       \
    X(lns,             TEXT,    "",              "",   0, 0,              "address for gateways that run Basics Station (TLS: lns.crt and lns.key in the data folder); empty: nobody is let in there") \
    X(mqtt_gateways,   TEXT,    "",              "",   0, 0,              "broker of gateways that speak MQTT as ChirpStack's do, host:port; empty: none") \
    X(mqtt_prefix,     TEXT,    "as923",         "",   0, 0,              "what their topics begin with, in front of /gateway/; several with commas between") \
    X(mqtt_client,     TEXT,    "hotaru",        "",   0, 0,              "our name at the broker, which keeps under it what came while we were away; nobody else may use it") \
    X(mqtt_user,       TEXT,    "",              "",   0, 0,              "our user there; empty: none")             \
    X(mqtt_password_file, TEXT, "",              "",   0, 0,              "file with its password")                   \
    X(mqtt_ca_file,    TEXT,    "",              "",   0, 0,              "who signs the broker's certificate (PEM); empty: no TLS, for this machine or a network of your own") \
    X(mqtt_cert_file,  TEXT,    "",              "",   0, 0,              "certificate that we show the broker (PEM); empty: none") \
    X(mqtt_key_file,   TEXT,    "",              "",   0, 0,              "its key (PEM)")                            \
    X(kek_file,        TEXT,    "",              "",   0, 0,              "key under which device keys are wrapped; default: kek in the data folder; keep a copy elsewhere") \
    X(profiles,        TEXT,    "",              "",   0, 0,              "folder with device profiles of your own")  \
    X(codecs,          TEXT,    "",              "",   0, 0,              "folder with JavaScript codecs of your own") \
    X(plan,            TEXT,    "AS923-1-JP",    "",   0, 0,              "national radio law on top of the region; none: empty") \
    X(net_id,          HEX,     "000000",        "",   0, 0xFFFFFF,       "NetID of the network")                     \
    X(window_ms,       NUMBER,  "200",           "ms", 10, 2000,          "how long further copies of a frame are waited for before the answer") \
    X(keys_cached,     NUMBER,  "16384",         "",   64, 1048576,       "expanded session keys in memory; a power of two, about 700 bytes each") \
    X(http_threads,    NUMBER,  "2",             "",   1, 64,             "threads that read for the screens and the API") \
    X(wal_mb,          NUMBER,  "48" ,           "MB", 4, 4096,           "the log is folded into the store when it is larger, even under load") \
    X(keep_days,       NUMBER,  "0",             "days", 0, 36500,        "frames and readings that are older go; 0: they are kept for ever. Above 0 a full disk also takes younger ones, the oldest first") \
    X(receive_mb,      NUMBER,  "32",            "MB", 1, 1024,           "datagrams that may wait in the kernel")    \
    X(capture_mb,      NUMBER,  "0",             "MB", 0, 65536,          "what comes through the doors is kept in a ring of this size, for hotaru replay; 0: nothing is kept") \
    X(city_ja,         TEXT,    "富山市",        "",   0, 0,              "name of the city")                         \
    X(city_en,         TEXT,    "Toyama City",   "",   0, 0,              "name of the city in English")              \
    X(speed,           NUMBER,  "1",             "",   1, 600,            "how fast the world of simulated devices goes: shown, and used to judge their changes") \
    X(dev,             FLAG,    "no",            "",   0, 0,              "no login for callers of this machine; refused on other addresses")

enum setting_kind { SETTING_TEXT, SETTING_HEX, SETTING_NUMBER, SETTING_FLAG };
enum setting {
#define SETTING_ENUM(name, kind, otherwise, unit, least, most, words) SET_##name,
    SETTINGS(SETTING_ENUM)
#undef SETTING_ENUM
    SETTINGS_COUNT
};

struct settings { struct str text[SETTINGS_COUNT]; i64 number[SETTINGS_COUNT]; };

/* Defaults, then `-c FILE`, then --name VALUE in the order of the arguments. Arguments that are no
 * settings are left in argv (*argc). ERR_INVALID with words that name the place. */
enum err settings_read(struct settings *out, int *argc, char **argv, struct str *why, struct arena *boot);
/* A word that is no setting: was it among the arguments? It is taken out of them. */
bool     settings_flag(int *argc, char **argv, const char *word);
/* Prints them as a file that reads back the same, each with its words. */
void     settings_print(const struct settings *s, struct text *out);

#endif
