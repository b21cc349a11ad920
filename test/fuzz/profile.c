// SPDX-License-Identifier: Apache-2.0
/* Any text as a device profile: refused in words, or a profile whose codec reads any payload. What
 * stands behind the first zero byte is the payload. */
#include "test/fuzz/fuzz.h"

#include "codec/codec.h"

FUZZ(p, n)
{
    static struct codec_result result;
    struct arena a = arena_make(1 << 16);
    struct str payload = { (const char *)p, n }, text = str_cut(&payload, '\0'), why = S("");
    struct profile_text texts[] = { { S("fuzz.json"), text }, { S("again.json"), text } };
    struct profiles profiles;
    struct codecs codecs;
    enum err err = profiles_read(&profiles, texts, 2, &why, &a);
    assert(err == OK ? profiles.count == 1 : err == ERR_INVALID && why.n > 0);
    if (err == OK) {
        const struct profile *one = &profiles.list[0];
        assert(one->id.n && one->region && profile_find(&profiles, one->id) == one);
        for (size_t i = 0; i < one->fields_count; i++)
            assert(profile_field(one, one->fields[i].name));
        err = codecs_parse(&codecs, &profiles, &why, &a);
        assert(err == OK || why.n > 0);
        if (err == OK && codec_read(&result, &codecs.of[0], 2, bytes_of(payload), &a) == OK)
            assert(result.count <= FIELDS_MAX);
    }
    arena_free(&a);
    return 0;
}
