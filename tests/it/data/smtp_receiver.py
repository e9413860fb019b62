"""A mail server on 127.0.0.1 that takes mail of one user. Prints its port, then one line of JSON for each mail.

    smtp_receiver.py USER PASSWORD [CERTIFICATE KEY]      with a certificate: TLS from the start
"""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

user, password, *certificate = sys.argv[1:]


def authenticate(server, session, envelope, mechanism, data):
    known = (data.login, data.password) == (user.encode(), password.encode())
    # Not handled: the library tells a stranger 535.
    return AuthResult(success=known, handled=known)


class Mailbox:
    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}
        line = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": message["Subject"],
            "tls": bool(certificate),
            "text": parts["text/plain"],
            "html": parts["text/html"],
            "defects": [repr(defect) for defect in message.defects],
        }
        print(json.dumps(line), flush=True)
        return "250 kept"


context = None
if certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)


def session():
    return SMTP(
        Mailbox(), hostname="localhost", loop=loop, authenticator=authenticate, auth_required=True, auth_require_tls=False
    )


loop = asyncio.new_event_loop()
server = loop.run_until_complete(loop.create_server(session, "127.0.0.1", 0, ssl=context))
print(server.sockets[0].getsockname()[1], flush=True)
loop.run_forever()
