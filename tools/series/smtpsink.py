#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A throw-away SMTP server on loopback: what it is sent goes into MBOX.

Prints its port when it listens, and ends with its standard input.  The envelope
is kept as X-Envelope-To.  With a second argument N it refuses the recipients of
the N-th mail and of all later ones.
"""

import asyncio
import mailbox
import sys


class Sink:
    def __init__(self, path, refuse):
        self.box, self.refuse, self.mails = mailbox.mbox(path), refuse, 0

    async def talk(self, reader, writer):
        def say(line):
            writer.write(line.encode() + b"\r\n")
        say("220 localhost")
        to = []
        while line := await reader.readline():
            words = line.decode(errors="replace").split()
            verb = words[0].upper() if words else ""
            if verb == "EHLO":
                say("250-localhost")
                say("250 8BITMIME")
            elif verb == "MAIL":
                self.mails, to = self.mails + 1, []
                say("250 ok")
            elif verb == "RCPT":
                if self.refuse and self.mails >= self.refuse:
                    say("550 5.7.1 not here")
                else:
                    to.append(line.decode().split("<")[1].split(">")[0])
                    say("250 ok")
            elif verb == "DATA":
                say("354 go on")
                data = b""
                while (line := await reader.readline()) not in (b".\r\n", b""):
                    data += line[1:] if line.startswith(b".") else line
                head = f"X-Envelope-To: {', '.join(to)}\n".encode()
                self.box.add(head + data.replace(b"\r\n", b"\n"))
                self.box.flush()
                say("250 ok")
            elif verb == "QUIT":
                say("221 bye")
                break
            else:
                say("250 ok" if verb in ("HELO", "RSET", "NOOP") else "502 no")
        writer.close()


async def main(path, refuse=0):
    sink = Sink(path, int(refuse))
    server = await asyncio.start_server(sink.talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
