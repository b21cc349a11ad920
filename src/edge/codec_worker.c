// SPDX-License-Identifier: Apache-2.0
/*
 * The jailed child that runs JavaScript codecs. It loads JavaScriptCore, warms it up, locks itself
 * in, and then only answers letters on one descriptor:
 *
 *     load the library -> warm up -> CPU timer -> rlimits, seccomp -> try the doors -> serve
 *
 * What the jail leaves: memory (never executable), threads, clocks, and descriptor 3. No file can be opened, no socket made, no program started, no other process touched. There is no
 * RLIMIT_AS, because JavaScriptCore reserves 72 GB of addresses, and no RLIMIT_NPROC, because the
 * kernel counts that for the whole user; fork is refused by seccomp instead. The parent watches the
 * resident size.
 *
 * A call is ended by a timer on this process's CPU clock: SIGXCPU, default action. A codec that
 * loops dies with the process and nothing has to be undone; the parent starts the next one.
 *
 * The same frame gives the same answer: Date is the time of reception, Math.random() starts anew
 * with each call, and what depends on machine or moment (Intl, WeakRef, shared memory) is taken away. A
 * context belongs to one codec of one tenant; its variables do live from call to call.
 */
#include "edge/codec_letter.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LIBRARY "libjavascriptcoregtk-4.1.so.0"

/*
 * What we use of the library's C API, unchanged since 2008: pointers to things that only the
 * library looks into. Declared here, so that building Hotaru needs no headers of the library.
 */
typedef const struct js_group   *JSContextGroupRef;
typedef struct js_context       *JSGlobalContextRef;
typedef struct js_string        *JSStringRef;
typedef const struct js_value   *JSValueRef;
typedef struct js_value         *JSObjectRef;

#define JS_FUNCTIONS(X)                                                                          \
    X(JSContextGroupRef,  JSContextGroupCreate, (void))                                          \
    X(JSGlobalContextRef, JSGlobalContextCreateInGroup, (JSContextGroupRef, void *))             \
    X(void,        JSGlobalContextRelease, (JSGlobalContextRef))                                 \
    X(JSValueRef,  JSEvaluateScript,                                                             \
      (JSGlobalContextRef, JSStringRef, JSObjectRef, JSStringRef, int, JSValueRef *))            \
    X(void,        JSGarbageCollect, (JSGlobalContextRef))                                       \
    X(JSStringRef, JSStringCreateWithUTF8CString, (const char *))                                \
    X(void,        JSStringRelease, (JSStringRef))                                               \
    X(size_t,      JSStringGetLength, (JSStringRef))                                             \
    X(size_t,      JSStringGetMaximumUTF8CStringSize, (JSStringRef))                             \
    X(size_t,      JSStringGetUTF8CString, (JSStringRef, char *, size_t))                        \
    X(JSValueRef,  JSValueMakeFromJSONString, (JSGlobalContextRef, JSStringRef))                 \
    X(JSStringRef, JSValueCreateJSONString,                                                      \
      (JSGlobalContextRef, JSValueRef, unsigned, JSValueRef *))                                  \
    X(JSStringRef, JSValueToStringCopy, (JSGlobalContextRef, JSValueRef, JSValueRef *))          \
    X(JSObjectRef, JSValueToObject, (JSGlobalContextRef, JSValueRef, JSValueRef *))              \
    X(void,        JSValueProtect, (JSGlobalContextRef, JSValueRef))                             \
    X(bool,        JSValueIsObject, (JSGlobalContextRef, JSValueRef))                            \
    X(bool,        JSValueIsBoolean, (JSGlobalContextRef, JSValueRef))                           \
    X(JSValueRef,  JSValueMakeNumber, (JSGlobalContextRef, double))                              \
    X(JSValueRef,  JSObjectCallAsFunction,                                                       \
      (JSGlobalContextRef, JSObjectRef, JSObjectRef, size_t, const JSValueRef *, JSValueRef *))

struct js {
#define JS_MEMBER(result, name, arguments) result (*name) arguments;
    JS_FUNCTIONS(JS_MEMBER)
#undef JS_MEMBER
};

/* A codec that was loaded, or the words why it could not be. */
struct place {
    JSGlobalContextRef context;
    JSObjectRef run;                     /* the prelude's run(function, input) */
    bool loaded;
    char words[CODEC_WORDS_MAX];
    size_t words_n;
};

struct worker {
    int fd;
    struct js js;
    JSContextGroupRef group;
    struct place places[CODEC_PLACES];
    timer_t cpu;
    char *ask, *tell;                    /* one letter each way */
    char *text;                          /* zero-ended copies for the library */
    u32 evicted;
};

/* An answer in the making. */
struct reply { enum codec_refusal refusal; struct str words, result; };

#define TEXT_MAX (CODEC_SOURCE_MAX + CODEC_RESULT_MAX * 3 + 1)

/* ------------------------------------------------------------------ JavaScript */

/*
 * Runs before the codec and keeps what the codec could otherwise replace. Its value is a function
 * that takes the codec's functions and gives back run(function, input).
 */
static const char prelude[] =
    "(function () {\n"
    "  'use strict';\n"
    "  const Real = Date, construct = Reflect.construct, all = globalThis;\n"
    "  let now = 0, seed = 1;\n"
    "  const Fixed = function Date(...parts) {\n"
    "    if (!new.target) return new Real(now).toString();\n"
    "    return construct(Real, parts.length ? parts : [now], new.target);\n"
    "  };\n"
    "  Fixed.prototype = Real.prototype;\n"
    "  Object.defineProperty(Real.prototype, 'constructor', { value: Fixed });\n"
    "  Fixed.now = () => now;\n"
    "  Fixed.parse = Real.parse;\n"
    "  Fixed.UTC = Real.UTC;\n"
    "  all.Date = Fixed;\n"
    "  Math.random = () => {\n"
    "    seed ^= seed << 13; seed ^= seed >>> 17; seed ^= seed << 5;\n"
    "    return (seed >>> 0) / 4294967296;\n"
    "  };\n"
    "  for (const name of ['Intl', 'WebAssembly', 'SharedArrayBuffer', 'Atomics', 'WeakRef',\n"
    "                      'FinalizationRegistry', 'performance', 'Temporal'])\n"
    "    delete all[name];\n"
    "  const quiet = () => {};\n"
    "  Object.defineProperty(all, 'console', { configurable: true, writable: true, value:\n"
    "    { log: quiet, info: quiet, warn: quiet, error: quiet, debug: quiet, trace: quiet } });\n"
    "  return (uplink, decode, decoder, encode, down) => (which, input) => {\n"
    "    now = +new Real(input.recvTime);\n"
    "    if (now !== now) now = 0;\n"
    "    seed = 0x484f5441;\n"
    "    if (which === 0 && uplink) {\n"
    "      input.recvTime = new Fixed(now);\n"
    "      return uplink(input);\n"
    "    }\n"
    "    if (which === 0 && decode)\n"
    "      return { data: decode(input.fPort, input.bytes, input.variables) };\n"
    "    if (which === 0 && decoder) return { data: decoder(input.bytes, input.fPort) };\n"
    "    const other = which === 1 ? encode : which === 2 ? down : null;\n"
    "    return other ? other(input) : false;\n"
    "  };\n"
    "})()";

/* Finds functions however they were declared: a const is no property of the global object. */
static const char finder[] =
    "[typeof decodeUplink === 'function' && decodeUplink, typeof Decode === 'function' && Decode,"
    " typeof Decoder === 'function' && Decoder,"
    " typeof encodeDownlink === 'function' && encodeDownlink,"
    " typeof decodeDownlink === 'function' && decodeDownlink]";

static const char binder[] = "(function (prepare, found) { return prepare(...found); })";

/* Zero-ended, for the library. The caller has seen that it fits and holds no zero. */
static JSStringRef string_of(struct worker *w, struct str s)
{
    assert(s.n < TEXT_MAX);
    memcpy(w->text, s.p, s.n);
    w->text[s.n] = 0;
    return w->js.JSStringCreateWithUTF8CString(w->text);
}

static struct str utf8_of(struct worker *w, JSStringRef s, char *out, size_t room)
{
    size_t n = w->js.JSStringGetUTF8CString(s, out, room);
    return (struct str){ out, n > 0 ? n - 1 : 0 };
}

static JSValueRef evaluate(struct worker *w, JSGlobalContextRef context, struct str source,
                           JSValueRef *thrown)
{
    JSStringRef text  = string_of(w, source);
    JSValueRef  value = w->js.JSEvaluateScript(context, text, NULL, NULL, 1, thrown);
    w->js.JSStringRelease(text);
    return value;
}

/* The exception's own words. Asking for them may run the codec's code, under the same timer. */
static struct str words_of(struct worker *w, JSGlobalContextRef context, JSValueRef thrown,
                           char *out, size_t room)
{
    JSValueRef  again = NULL;
    JSStringRef text  = thrown ? w->js.JSValueToStringCopy(context, thrown, &again) : NULL;
    struct str  words = S("");
    if (text) {
        if (w->js.JSStringGetMaximumUTF8CStringSize(text) <= TEXT_MAX) {
            struct str whole = utf8_of(w, text, w->text, TEXT_MAX);
            size_t n = MIN(whole.n, room);
            while (n > 0 && n < whole.n && ((u8)whole.p[n] & 0xc0) == 0x80)
                n--;
            memcpy(out, whole.p, n);
            words = (struct str){ out, n };
        }
        w->js.JSStringRelease(text);
    }
    return words;
}

static void forget(struct worker *w, struct place *p)
{
    if (p->context)
        w->js.JSGlobalContextRelease(p->context);
    *p = (struct place){ 0 };
    if (++w->evicted % 16 == 0) { /* the heap is shared: let go of the old contexts now and then */
        JSGlobalContextRef any = w->js.JSGlobalContextCreateInGroup(w->group, NULL);
        w->js.JSGarbageCollect(any);
        w->js.JSGlobalContextRelease(any);
    }
}

static void load(struct worker *w, struct place *p, struct str source)
{
    JSValueRef thrown = NULL, args[2];
    forget(w, p);
    p->context = w->js.JSGlobalContextCreateInGroup(w->group, NULL);
    JSValueRef prepare = evaluate(w, p->context, str_z(prelude), &thrown);
    JSValueRef bind    = thrown ? NULL : evaluate(w, p->context, str_z(binder), &thrown);
    if (!thrown)
        (void)evaluate(w, p->context, source, &thrown);
    JSValueRef found = thrown ? NULL : evaluate(w, p->context, str_z(finder), &thrown);
    if (!thrown) {
        args[0] = prepare, args[1] = found;
        JSObjectRef binding = w->js.JSValueToObject(p->context, bind, &thrown);
        JSValueRef run = NULL;
        if (!thrown)
            run = w->js.JSObjectCallAsFunction(p->context, binding, NULL, 2, args, &thrown);
        p->run = thrown ? NULL : w->js.JSValueToObject(p->context, run, &thrown);
    }
    p->loaded = !thrown;
    if (p->loaded)
        w->js.JSValueProtect(p->context, p->run);
    else
        p->words_n = words_of(w, p->context, thrown, p->words, sizeof p->words).n;
}

static struct reply refuse(enum codec_refusal refusal)
{
    return (struct reply){ .refusal = refusal, .words = S(""), .result = S("") };
}

static struct reply threw(struct worker *w, JSGlobalContextRef context, JSValueRef thrown,
                          char *words)
{
    struct reply reply = refuse(CODEC_THREW);
    reply.words = words_of(w, context, thrown, words, CODEC_WORDS_MAX);
    return reply;
}

/* JSON of the answer, straight into the letter. */
static struct reply written(struct worker *w, JSGlobalContextRef context, JSValueRef value,
                            char *words, char *result)
{
    JSValueRef  thrown = NULL;
    JSStringRef json   = w->js.JSValueCreateJSONString(context, value, 0, &thrown);
    struct reply reply = refuse(CODEC_NO_OBJECT);
    if (thrown)
        return threw(w, context, thrown, words);
    if (!json)
        return reply;
    if (w->js.JSStringGetLength(json) > CODEC_RESULT_MAX) {
        reply.refusal = CODEC_TOO_LARGE;
    } else {
        struct str all = utf8_of(w, json, w->text, TEXT_MAX);
        reply.refusal  = all.n > CODEC_RESULT_MAX ? CODEC_TOO_LARGE : CODEC_DONE;
        if (reply.refusal == CODEC_DONE) {
            memcpy(result, all.p, all.n);
            reply.result = (struct str){ result, all.n };
        }
    }
    w->js.JSStringRelease(json);
    return reply;
}

static struct reply call(struct worker *w, struct place *p, u8 function, struct str input,
                         char *words, char *result)
{
    JSValueRef  thrown = NULL, args[2];
    JSStringRef text   = string_of(w, input);
    args[0] = w->js.JSValueMakeNumber(p->context, function);
    args[1] = w->js.JSValueMakeFromJSONString(p->context, text);
    w->js.JSStringRelease(text);
    if (!args[1] || !w->js.JSValueIsObject(p->context, args[1]))
        return refuse(CODEC_BAD_INPUT);
    JSValueRef value = w->js.JSObjectCallAsFunction(p->context, p->run, NULL, 2, args, &thrown);
    if (thrown)
        return threw(w, p->context, thrown, words);
    if (w->js.JSValueIsBoolean(p->context, value)) /* run() says false: there is no such function */
        return refuse(CODEC_NO_FUNCTION);
    if (!w->js.JSValueIsObject(p->context, value))
        return refuse(CODEC_NO_OBJECT);
    return written(w, p->context, value, words, result);
}

/* ------------------------------------------------------------------ letters */

static void cpu_timer(struct worker *w, i64 us)
{
    struct itimerspec spec = { .it_value = { us / US_PER_S, us % US_PER_S * 1000 } };
    (void)timer_settime(w->cpu, 0, &spec, NULL);
}

/* Of this thread: the process's clock moves in steps of a tick while a timer stands on it. */
static u32 cpu_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (u32)((i64)t.tv_sec * US_PER_S + t.tv_nsec / 1000);
}

static bool tell(struct worker *w, struct codec_tell head, struct reply reply)
{
    char *at = w->tell + sizeof head;
    head.refusal  = reply.refusal;
    head.words_n  = (u32)reply.words.n;
    head.result_n = (u32)reply.result.n;
    memcpy(w->tell, &head, sizeof head);
    memmove(at, reply.words.p, reply.words.n);
    memmove(at + reply.words.n, reply.result.p, reply.result.n);
    size_t n = sizeof head + reply.words.n + reply.result.n;
    return send(w->fd, w->tell, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool serve_one(struct worker *w)
{
    struct codec_ask head;
    ssize_t n = recv(w->fd, w->ask, CODEC_ASK_MAX, 0);
    if (n < 0 && errno == EINTR)
        return true;
    if (n < (ssize_t)sizeof head)
        return false;                                    /* the daemon is gone */
    memcpy(&head, w->ask, sizeof head);
    assert(head.place < CODEC_PLACES && head.function < CODEC_FUNCTIONS);
    assert((size_t)n == sizeof head + head.source_n + head.input_n);
    struct str source = { w->ask + sizeof head, head.source_n };
    struct str input  = { source.p + source.n, head.input_n };
    struct place *p   = &w->places[head.place];
    u32 before = cpu_us();
    cpu_timer(w, CODEC_CPU_US);
    if (head.load)
        load(w, p, source);
    struct reply reply = refuse(CODEC_SYNTAX);
    reply.words = (struct str){ p->words, p->words_n };
    char words[CODEC_WORDS_MAX];
    if (p->loaded)
        reply = call(w, p, head.function, input, words,
                     w->tell + sizeof(struct codec_tell) + CODEC_WORDS_MAX);
    cpu_timer(w, 0);
    return tell(w, (struct codec_tell){ .id = head.id, .cpu_us = cpu_us() - before }, reply);
}

/* ------------------------------------------------------------------ the jail */

static const int allowed[] = {
    /* memory and threads */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(mincore),
    SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(set_tid_address), SCMP_SYS(rseq),
    SCMP_SYS(membarrier), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(gettid),
    SCMP_SYS(getpid), SCMP_SYS(exit), SCMP_SYS(exit_group),
    /* signals: the collector stops the other threads with one */
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigsuspend), SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall),
    /* clocks */
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getrusage),
    SCMP_SYS(timer_settime), SCMP_SYS(getrandom),
};

/* Allowed when (argument & mask) == value. */
struct rule { int call; unsigned argument; u64 mask, value; };

static bool allow_some(scmp_filter_ctx filter)
{
    const u64 whole = UINT64_MAX;
    const struct rule rules[] = {
        /* never executable */
        { SCMP_SYS(mmap),     2, PROT_EXEC, 0 },
        { SCMP_SYS(mprotect), 2, PROT_EXEC, 0 },
        /* threads, never processes */
        { SCMP_SYS(clone),    0, CLONE_THREAD, CLONE_THREAD },
        { SCMP_SYS(tgkill),   0, whole, (u64)getpid() },
        { SCMP_SYS(prctl),    0, whole, PR_SET_NAME },
        { SCMP_SYS(prlimit64), 2, whole, 0 },            /* asking, not setting */
        /* the one descriptor, and words on stderr when a sanitizer or an assert has some */
        { SCMP_SYS(recvfrom), 0, whole, CODEC_CHILD_FD },
        { SCMP_SYS(sendto),   0, whole, CODEC_CHILD_FD },
        { SCMP_SYS(write),    0, whole, STDERR_FILENO },
    };
    int bad = 0;
    for (size_t i = 0; i < COUNT(allowed); i++)
        bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; i < COUNT(rules); i++) {
        struct scmp_arg_cmp when = { rules[i].argument, SCMP_CMP_MASKED_EQ, rules[i].mask,
                                     rules[i].value };
        bad |= seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rules[i].call, 1, &when);
    }
    /* clone3 hides its flags in memory: the C library is sent back to clone. */
    bad |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return bad == 0;
}

static bool limit(__rlimit_resource_t what, rlim_t most)
{
    return setrlimit(what, &(struct rlimit){ most, most }) == 0;
}

static const char *lock(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return "no_new_privs";
    if (!limit(RLIMIT_NOFILE, 0) || !limit(RLIMIT_FSIZE, 0) || !limit(RLIMIT_CORE, 0))
        return "rlimits";
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter || !allow_some(filter) || seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1)
        || seccomp_load(filter))
        return "seccomp";
    seccomp_release(filter);
    return NULL;
}

static bool open_file(void)   { return open("/", O_RDONLY | O_CLOEXEC) >= 0; }
static bool make_socket(void) { return socket(AF_INET, SOCK_STREAM, 0) >= 0; }
static bool start_program(void)
{
    static char *const none[] = { NULL };
    return execve("/bin/true", none, none) == 0;
}
static bool make_process(void)    { return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) >= 0; }
static bool signal_process(void)  { return kill(getppid(), 0) == 0; }
static bool executable_page(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static const struct { bool (*opens)(void); const char *words; } doors[] = {
    { open_file,       "a file can be opened" },
    { make_socket,     "a socket can be made" },
    { start_program,   "a program can be started" },
    { make_process,    "a process can be made" },
    { signal_process,  "another process can be signalled" },
    { executable_page, "memory can be executable" },
};

/* Tries the doors after they were locked: each must be refused by the jail, not by chance. */
static const char *prove(void)
{
    for (size_t i = 0; i < COUNT(doors); i++)
        if (doors[i].opens() || errno != EPERM)
            return doors[i].words;
    return NULL;
}

/* ------------------------------------------------------------------ start */

static const char *open_library(struct worker *w)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return "cannot load " LIBRARY;
    static const char *const names[] = {
#define JS_NAME(result, name, arguments) #name,
        JS_FUNCTIONS(JS_NAME)
#undef JS_NAME
    };
    static_assert(sizeof w->js == sizeof(void *) * COUNT(names), "nothing but functions, in this order");
    for (size_t i = 0; i < COUNT(names); i++) {
        void *function = dlsym(library, names[i]);
        if (!function)
            return LIBRARY " lacks a function";
        memcpy((char *)&w->js + i * sizeof function, &function, sizeof function);
    }
    return NULL;
}

/* Whatever the library wants of files it wants now. */
static const char *warm_up(struct worker *w)
{
    struct place p = { 0 };
    w->group = w->js.JSContextGroupCreate();
    load(w, &p, S("function decodeUplink(input) {"
                  "  return { data: [/a+b/.exec('aab').index, new Date(0).toISOString(), '' + new Date(),"
                  "    new Map([[1, 2]]).size, new Uint8Array(9).length, (1.5).toFixed(2)] }; }"));
    char words[CODEC_WORDS_MAX];
    struct reply reply = refuse(CODEC_SYNTAX);
    if (p.loaded)
        reply = call(w, &p, CODEC_DECODE_UPLINK,
                     S("{\"bytes\":[1],\"fPort\":1,\"recvTime\":\"2026-01-01T00:00:00Z\"}"), words,
                     w->tell);
    w->js.JSGarbageCollect(p.context);
    forget(w, &p);
    return reply.refusal == CODEC_DONE ? NULL : "JavaScript does not run";
}

static const char *start(struct worker *w)
{
    struct sigevent expiry = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGXCPU };
    w->ask  = boot_take(CODEC_ASK_MAX);
    w->tell = boot_take(CODEC_TELL_MAX);
    w->text = boot_take(TEXT_MAX);
    const char *wrong = open_library(w);
    if (!wrong)
        wrong = warm_up(w);
    if (!wrong && timer_create(CLOCK_PROCESS_CPUTIME_ID, &expiry, &w->cpu))
        wrong = "no CPU timer";
    if (!wrong)
        wrong = lock();
    return wrong ? wrong : prove();
}

_Noreturn void codec_worker_main(int fd)
{
    struct worker *w = boot_take(sizeof *w);
    assert(fd == CODEC_CHILD_FD);
    w->fd = fd;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);              /* never outlives the daemon */
    (void)close_range(CODEC_CHILD_FD + 1, ~0U, 0);
    (void)signal(SIGXCPU, SIG_DFL);
    const char *wrong = start(w);
    if (wrong) {
        log_line(LOG_ERROR, "codec-worker: %s", wrong);
        _exit(71);
    }
    struct reply hello = refuse(CODEC_DONE);
    hello.words = S("refused: files, sockets, programs, processes, signals, executable memory");
    bool on = tell(w, (struct codec_tell){ .id = CODEC_HELLO }, hello);
    while (on)
        on = serve_one(w);
    _exit(0); /* the library's and the sanitizers' farewells want what the jail refuses */
}
