// SPDX-License-Identifier: Apache-2.0
/* What of the HTTP door does not depend on the library behind it. */
#include "edge/http.h"

void http_answer_header(struct http_answer *a, struct str name, struct str value)
{
    assert(a->headers_n < HTTP_HEADERS_MAX);
    a->headers[a->headers_n++] = (struct http_header){ name, value };
}
