// SPDX-License-Identifier: Apache-2.0
#include "core/profile.h"

#include <math.h>

static double number_or_nan(const struct json *v)
{
    double d;
    return json_double(&d, v) ? d : (double)NAN;
}

static int int_or(const struct json *v, int otherwise)
{
    i64 n;
    return json_i64(&n, v) && n >= 0 && n <= 1000000 ? (int)n : otherwise;
}

static bool flag_of(const struct json *v)
{
    bool b = false;
    return json_bool(&b, v) && b;
}

static void read_field(struct profile_field *f, const struct json *v, struct arena *boot)
{
    struct str role = json_str(json_get(v, S("role")), boot);
    *f = (struct profile_field){
        .name       = v->key,
        .attr       = json_str(json_get(v, S("attr")), boot),
        .unit       = json_str(json_get(v, S("unit")), boot),
        .ja         = json_str(json_get(v, S("ja")), boot),
        .en         = json_str(json_get(v, S("en")), boot),
        .min        = number_or_nan(json_get(v, S("min"))),
        .max        = number_or_nan(json_get(v, S("max"))),
        .rate_per_h = number_or_nan(json_get(v, S("rate_per_h"))),
        .role       = str_eq(role, S("battery_pct")) ? ROLE_BATTERY_PCT : ROLE_NONE,
        .main       = flag_of(json_get(v, S("main"))),
        .number     = flag_of(json_get(v, S("number"))),
    };
    if (f->en.n == 0)
        f->en = f->attr.n ? f->attr : f->name;
    if (f->ja.n == 0)
        f->ja = f->en;
}

/* "adr": false, or what it may do; a fixed data rate leaves it nothing to decide. */
static const char *read_radio(struct profile *p, const struct json *doc)
{
    const struct json *adr = json_get(doc, S("adr"));
    p->rx1_delay_s       = int_or(json_get(doc, S("rx1_delay_s")), 5);
    p->rx1_dr_offset     = int_or(json_get(doc, S("rx1_dr_offset")), -1);
    p->rx2_dr            = int_or(json_get(doc, S("rx2_dr")), -1);
    p->duty_exp          = int_or(json_get(doc, S("duty_exp")), 0);
    p->fixed_dr          = int_or(json_get(doc, S("dr")), -1);
    p->adr               = !json_is(adr, JSON_FALSE);
    p->adr_dr_min        = (u8)int_or(json_get(adr, S("dr_min")), 0);
    p->adr_dr_max        = (u8)int_or(json_get(adr, S("dr_max")), p->region->adr_dr_max);
    p->adr_power_most    = (u8)int_or(json_get(adr, S("power_max")), p->region->tx_power_max);
    p->adr_nb_trans_most = (u8)int_or(json_get(adr, S("nb_trans_max")), 3);
    p->adr_margin_db     = int_or(json_get(adr, S("margin_db")), 10);
    if (!json_i64(&p->rx2_hz, json_get(doc, S("rx2_hz"))))
        p->rx2_hz = 0;
    if (p->rx1_delay_s < 1 || p->rx1_delay_s > 15)
        return "rx1_delay_s is 1 to 15";
    if (p->rx1_dr_offset > p->region->rx1_offset_max)
        return "rx1_dr_offset is beyond what the region knows";
    if (p->rx2_dr >= 0 && (p->rx2_dr >= LORA_DRS || p->region->dr[p->rx2_dr].modulation == MOD_NONE))
        return "rx2_dr is no data rate of the region";
    if (p->fixed_dr >= 0 && (p->fixed_dr >= LORA_DRS || p->region->dr[p->fixed_dr].modulation == MOD_NONE))
        return "dr is no data rate of the region";
    if (p->rx2_hz != 0 && (p->rx2_hz < 100000000 || p->rx2_hz > 2500000000 || p->rx2_hz % p->region->freq_step_hz))
        return "rx2_hz is a frequency in Hz, in the steps of the region";
    return p->duty_exp > 15 || p->adr_margin_db > 30 ? "duty_exp is 0 to 15, adr.margin_db 0 to 30" : NULL;
}

static const char *read_profile(struct profile *p, const struct json *doc, struct arena *boot)
{
    const struct json *name = json_get(doc, S("name")), *entity = json_get(doc, S("entity"));
    const struct json *fields = json_get(doc, S("fields"));
    struct str version = json_str(json_get(doc, S("lorawan")), boot);
    *p = (struct profile){
        .id           = json_str(json_get(doc, S("id")), boot),
        .ja           = json_str(json_get(name, S("ja")), boot),
        .en           = json_str(json_get(name, S("en")), boot),
        .kind         = json_str(json_get(doc, S("kind")), boot),
        .personal     = json_str(json_get(doc, S("personal")), boot),
        .entity_type  = json_str(json_get(entity, S("type")), boot),
        .entity_id    = json_str(json_get(entity, S("id")), boot),
        .region       = lora_region_by_name(json_str(json_get(doc, S("region")), boot)),
        .version      = LORAWAN_1_0_3,
        .interval_s   = int_or(json_get(doc, S("interval_s")), 3600),
        .codec        = json_get(doc, S("codec")),
    };
    if (p->id.n == 0 || p->kind.n == 0 || p->ja.n == 0 || p->en.n == 0)
        return "id, kind, name.ja and name.en are needed";
    if (!p->region)
        return "region is none of the known ones";
    if (version.n > 0 && !lora_version_read(&p->version, version))
        return "lorawan is 1.0.0 to 1.0.4 or 1.1";
    const char *wrong = read_radio(p, doc);
    if (wrong)
        return wrong;
    if ((p->entity_type.n == 0) != (p->entity_id.n == 0))
        return "entity needs both type and id";
    if (p->personal.n > 0 && p->entity_id.n > 0)
        return "a personal profile cannot name an entity";
    if (json_is(fields, JSON_OBJECT) && fields->members > 0) {
        struct profile_field *list = arena_array(boot, struct profile_field, fields->members);
        p->fields = list;
        JSON_EACH (v, fields)
            read_field(&list[p->fields_count++], v, boot);
    }
    return NULL;
}

enum err profiles_read(struct profiles *out, const struct profile_text *texts, size_t n, struct str *why,
                       struct arena *boot)
{
    struct profile *list = arena_array(boot, struct profile, n ? n : 1);
    *out = (struct profiles){ list, 0 };
    for (size_t i = 0; i < n; i++) {
        const struct json *doc;
        struct json_error  error;
        struct profile     p;
        if (json_read(&doc, texts[i].json, boot, JSON_STRICT, &error) != OK) {
            *why = str_fmt(boot, "%.*s: byte %zu: %s", STR(texts[i].file), error.at, error.words);
            return ERR_INVALID;
        }
        const char *wrong = read_profile(&p, doc, boot);
        if (wrong) {
            *why = str_fmt(boot, "%.*s: %s", STR(texts[i].file), wrong);
            return ERR_INVALID;
        }
        const struct profile *same = profile_find(out, p.id);
        p.number       = same ? same->number : (u32)out->count++;
        list[p.number] = p;
    }
    return OK;
}

const struct profile *profile_find(const struct profiles *profiles, struct str id)
{
    for (size_t i = 0; i < profiles->count; i++)
        if (str_eq(profiles->list[i].id, id))
            return &profiles->list[i];
    return NULL;
}

const struct profile_field *profile_field(const struct profile *profile, struct str name)
{
    for (size_t i = 0; i < profile->fields_count; i++)
        if (str_eq(profile->fields[i].name, name))
            return &profile->fields[i];
    return NULL;
}
