#!/usr/bin/env python3
"""A kiosk at a hub, without the library: docs/hub-api.md in a hundred lines. Standard library, and openssl for the key.

    kiosk.py --home DIR enrol https://hub:8443 CODE PIN     makes a key, shows the code
    kiosk.py --home DIR VERB [field=value ...]              one request; prints the answer
    kiosk.py --home DIR listen [SECONDS]                    prints the events of the inbox, one a line
"""

import base64
import hashlib
import http.client
import json
import os
import secrets
import ssl
import subprocess
import sys
import time
import urllib.parse


class Kiosk:
    def __init__(self, home):
        self.home = home
        self.key = os.path.join(home, "key.pem")
        self.file = os.path.join(home, "hub.json")
        self.challenge = ""
        self.connection = None
        self.state = json.load(open(self.file)) if os.path.exists(self.file) else {}

    def save(self):
        with open(self.file + ".part", "w") as f:
            json.dump(self.state, f)
            f.flush()
            os.fsync(f.fileno())
        os.rename(self.file + ".part", self.file)

    def sign(self, text):
        made = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=text.encode(), capture_output=True, check=True)
        return base64.b64encode(made.stdout).decode()

    def public_key(self):
        made = subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout", "-outform", "DER"], capture_output=True, check=True)
        return base64.b64encode(made.stdout).decode()

    def connect(self):
        """Trust hangs on the pin of the hub's key, not on a CA and not on this machine's clock."""
        url = urllib.parse.urlsplit(self.state["hub"])
        if url.scheme == "http":
            self.connection = http.client.HTTPConnection(url.hostname, url.port, timeout=330)
            return
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=330, context=context)
        self.connection.connect()
        certificate = self.connection.sock.getpeercert(binary_form=True)
        pem = ssl.DER_cert_to_PEM_cert(certificate).encode()
        key = subprocess.run(["openssl", "x509", "-pubkey", "-noout"], input=pem, capture_output=True, check=True).stdout
        der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key, capture_output=True, check=True).stdout
        pin = base64.b64encode(hashlib.sha256(der).digest()).decode()
        if pin != self.state["pin"]:
            self.connection.close()
            raise SystemExit("this is not the hub: its key has another pin")

    def post(self, path, body, headers):
        for attempt in range(2):
            try:
                if self.connection is None:
                    self.connect()
                self.connection.request("POST", path, body, headers)
                answer = self.connection.getresponse()
                text = answer.read()
                self.challenge = answer.getheader("Hub-Challenge") or self.challenge
                return answer.status, json.loads(text) if text else {}
            except (http.client.HTTPException, ConnectionError):
                # The connection was idle for too long. The hub knows a command by its request_id.
                self.connection = None
                if attempt:
                    raise

    def ask(self, verb, **fields):
        """One signed request: with a fresh challenge if the hub wants one, which is proof that nothing was done."""
        path, body = "/v1/" + verb, json.dumps(fields).encode()
        for _ in range(2):
            nonce = secrets.token_hex(16)
            device, key = self.state["device"], self.state["key"]
            text = "\n".join(["KL1", "POST", path, device, str(key), self.challenge, nonce, hashlib.sha256(body).hexdigest()])
            header = f"KL1 device={device}, key={key}, challenge={self.challenge}, nonce={nonce}, signature={self.sign(text)}"
            status, answer = self.post(path, body, {"Authorization": header, "Content-Type": "application/json"})
            if status != 401 or answer.get("error") != "challenge":
                break
        return status, answer

    def enrol(self, hub, code, pin):
        os.makedirs(self.home, mode=0o700, exist_ok=True)
        if not os.path.exists(self.key):
            old = os.umask(0o077)
            subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.key],
                           capture_output=True, check=True)
            os.umask(old)
        self.state = {"hub": hub, "pin": pin}
        public = self.public_key()
        body = {"code": code, "public_key": public, "proof": self.sign("\n".join(["KL1-ENROL", code, public]))}
        status, answer = self.post("/v1/enrol", json.dumps(body).encode(), {"Content-Type": "application/json"})
        if status == 200:
            self.state |= {"device": answer["device"], "key": answer["key"], "cursor": 0}
            self.save()
        return status, answer

    def events(self, wait_s):
        """The next events. The cursor is saved when the caller has them: they come again after a crash, and are never lost."""
        status, answer = self.ask("inbox", cursor=self.state.get("cursor", 0), wait_s=wait_s)
        for event in answer.get("events", []):
            yield event
            self.state["cursor"] = event["seq"]
            self.save()
        if status not in (200, 204):
            raise SystemExit(f"HTTP {status}: {json.dumps(answer)}")


def main(words):
    if len(words) < 3 or words[0] != "--home":
        raise SystemExit(__doc__)
    kiosk, verb, rest = Kiosk(words[1]), words[2], words[3:]
    if verb == "enrol":
        status, answer = kiosk.enrol(*rest)
    elif verb == "listen":
        until = time.monotonic() + float(rest[0] if rest else 3600)
        while (left := until - time.monotonic()) > 0:
            for event in kiosk.events(max(1, min(50, int(left)))):
                print(json.dumps(event, ensure_ascii=False), flush=True)
        return
    else:
        fields = dict(word.split("=", 1) for word in rest)
        status, answer = kiosk.ask(verb, **{k: int(v) if v.isdigit() and k in ("page", "page_size", "ttl_ms", "timeout_ms", "wait_s", "cursor", "amount") else v for k, v in fields.items()})
    print(json.dumps(answer, ensure_ascii=False))
    if status != 200:
        raise SystemExit(f"HTTP {status}")


if __name__ == "__main__":
    main(sys.argv[1:])
