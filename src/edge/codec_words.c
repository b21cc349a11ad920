// SPDX-License-Identifier: Apache-2.0
/* The codec child's refusals by name and in words. */
#include "edge/codec_child.h"

static const struct { const char *name, *words; } refusals[] = {
#define REFUSAL_ROW(name, words) [name] = { #name, words },
    CODEC_REFUSALS(REFUSAL_ROW)
#undef REFUSAL_ROW
};

const char *codec_refusal_name(enum codec_refusal refusal)
{
    assert(refusal < COUNT(refusals));
    return refusals[refusal].name;
}

const char *codec_refusal_words(enum codec_refusal refusal)
{
    assert(refusal < COUNT(refusals));
    return refusals[refusal].words;
}
