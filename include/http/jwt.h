// SPDX-License-Identifier: Apache-2.0
//
// A JSON Web Token as a caller's word for who they are: JWS compact form (RFC 7515, 7519), checked
// as RFC 8725 advises. Taken is only what is signed by a key of the set, by that key's own
// algorithm (jwks.h), for us, by the issuer we trust, and now.
//
//   header   alg    the key's; "none" and HS256 are never that
//            kid    names the key
//            typ    JWT or at+jwt, or not there
//            crit   not there: we know no extensions
//   claims   iss    the issuer
//            aud    ours, or a list with ours
//            exp    in the future; nbf, if there, in the past: whole seconds, give or take the
//            leeway shop   whose they are; the claim's name is configured scope  what they may do:
//            words with spaces between, or a list (RFC 9068); unknown ones
//                   are somebody else's
//            customer  if there, the one customer that the token is bound to; name configured
#ifndef ORDERLOG_HTTP_JWT_H
#define ORDERLOG_HTTP_JWT_H

#include "http/caller.h"
#include "http/jwks.h"

enum { JWT_BYTES_MAX = 8192 };

struct jwt_rules {
    const char *issuer;
    const char *audience;
    const char *shop_claim;
    const char *customer_claim;
    int64_t leeway_s;
};

struct jwt_identity {
    struct http_caller
        caller;     // key_id: "jwt:" and a hash of subject and customer, no personal data
    int64_t from_s; // it is good from here to before caller.until_s, leeway included
};

// False: *ret_why, a literal, says what is wrong. No clock, no lock; some ten to a hundred
// microseconds.
bool jwt_verify(const struct jwks *keys, const struct jwt_rules *rules, const char *token,
                size_t length, int64_t now_s, struct jwt_identity *ret, const char **ret_why);

#endif
