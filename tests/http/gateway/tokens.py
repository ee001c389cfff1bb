# SPDX-License-Identifier: Apache-2.0
"""An issuer of tokens: keys and signatures by the openssl program, not by our own code."""
import atexit
import base64
import hashlib
import hmac
import json
import pathlib
import shutil
import subprocess
import tempfile
import time

ISSUER, AUDIENCE = "https://id.example", "orderlog"
KINDS = {"RS256": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
         "ES256": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "EdDSA": ["ED25519"]}


def b64(data):
    if isinstance(data, (dict, list)):
        data = json.dumps(data)
    if isinstance(data, str):
        data = data.encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments, **more):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True,
                          **more).stdout


def raw_of_der(der):
    """Two integers in ASN.1 as 2 x 32 bytes."""
    at, numbers = 2, []
    for _ in range(2):
        length = der[at + 1]
        numbers.append(der[at + 2:at + 2 + length].lstrip(b"\0").rjust(32, b"\0"))
        at += 2 + length
    return b"".join(numbers)


class Issuer:
    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="orderlog-issuer."))
        atexit.register(shutil.rmtree, self.dir, ignore_errors=True)
        self.jwks_path = self.dir / "jwks.json"
        self.number = 0
        self.new_keys()

    def new_keys(self):
        """One key per algorithm; those before are gone from the set."""
        self.number += 1
        self.pem = {}
        for alg, kind in KINDS.items():
            self.pem[alg] = self.dir / f"{alg}.{self.number}.pem"
            openssl("genpkey", "-algorithm", *kind, "-out", self.pem[alg])
        new = self.jwks_path.with_suffix(".new")
        new.write_text(json.dumps({"keys": [self.public(alg) for alg in KINDS]}))
        new.replace(self.jwks_path)

    def kid(self, alg):
        return f"{alg}-{self.number}"

    def public(self, alg):
        der = openssl("pkey", "-in", self.pem[alg], "-pubout", "-outform", "DER")
        if alg == "EdDSA":
            kind = {"kty": "OKP", "crv": "Ed25519", "x": b64(der[-32:])}
        elif alg == "ES256":
            kind = {"kty": "EC", "crv": "P-256", "x": b64(der[-64:-32]), "y": b64(der[-32:])}
        else:
            text = openssl("rsa", "-in", self.pem[alg], "-noout", "-modulus").decode()
            kind = {"kty": "RSA", "n": b64(bytes.fromhex(text.strip().split("=")[1])), "e": "AQAB"}
        return {**kind, "kid": self.kid(alg), "alg": alg, "use": "sig"}

    def sign(self, alg, text):
        if alg == "EdDSA":
            path = self.dir / "signed"
            path.write_bytes(text.encode())
            return openssl("pkeyutl", "-sign", "-inkey", self.pem[alg], "-rawin", "-in", path)
        made = openssl("dgst", "-sha256", "-sign", self.pem[alg], input=text.encode())
        return raw_of_der(made) if alg == "ES256" else made

    def claims(self, **changes):
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "somebody", "shop": "main",
                  "iat": now, "nbf": now - 60, "exp": now + 3600, **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, alg="EdDSA", header=None, sign_as=None, **claims):
        """header: changes of it; sign_as: another key than the one that is named."""
        head = {"alg": alg, "kid": self.kid(alg), "typ": "JWT", **(header or {})}
        head = {name: value for name, value in head.items() if value is not None}
        text = b64(head) + "." + b64(self.claims(**claims))
        return text + "." + b64(self.sign(sign_as or alg, text))

    def hmac_token(self, secret, header_alg="HS256", **claims):
        text = b64({"alg": header_alg, "kid": self.kid("RS256")}) + "." + b64(self.claims(**claims))
        return text + "." + b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())

    def faulty(self, **good):
        """Name and token of everything that must not be believed; good: claims of a good one."""
        now = int(time.time())
        token = lambda *args, **more: self.token(*args, **{**good, **more})
        whole = token("RS256")
        head, body, signature = whole.split(".")
        public = openssl("pkey", "-in", self.pem["RS256"], "-pubout")
        foreign = b64({**self.claims(**good), "scope": "ops orders:read"})
        faults = {
            "expired": token(exp=now - 3600),
            "not yet valid": token(nbf=now + 3600),
            "without exp": token(exp=None),
            "of another issuer": token(iss="https://id.example.evil"),
            "without issuer": token(iss=None),
            "for somebody else": token(aud="orders"),
            "for nobody": token(aud=None),
            "without shop": token(shop=None),
            "with an empty shop": token(shop=""),
            "with an empty customer": token(customer=""),
            "with a number for a customer": token(customer=7),
            "of an unknown kid": token(header={"kid": "nobody"}),
            "without kid": token(header={"kid": None}),
            "with critical extensions": token(header={"crit": ["exp"]}),
            "of another type": token(header={"typ": "logout+jwt"}),
            "cut": whole[:-10],
            "without signature": head + "." + body + ".",
            "of two parts": head + "." + body,
            "with claims of another": head + "." + foreign + "." + signature,
            "HS256 with the public key": self.hmac_token(public, **good),
            "RS256 that is an HMAC": self.hmac_token(public, "RS256", **good),
            "HS256 with the key set": self.hmac_token(self.jwks_path.read_bytes(), **good),
        }
        for alg in KINDS:
            other = next(name for name in KINDS if name != alg)
            for claimed in ("none", "HS256", "RS512", "ES384", other):
                faults[f"{alg} key, alg {claimed}"] = token(alg, header={"alg": claimed})
            unsigned = b64({"alg": "none", "kid": self.kid(alg)}) + "." + body + "."
            faults[f"{alg} key, alg none, unsigned"] = unsigned
            faults[f"{alg} key, signed by {other}"] = token(alg, sign_as=other)
        return faults
