"""`python -m bench.event_receiver NUMBER`: NUMBER endpoints that accept every event; prints their ports."""

import asyncio
import re
import sys
from typing import Final

ACCEPTED: Final = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
HEADERS_END: Final = b"\r\n\r\n"
LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Endpoint(asyncio.Protocol):
    """Reads requests as cheaply as possible, because it runs on the machine that is measured."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection with an empty buffer."""
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._received = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self._received += data
        while (end_of_headers := self._received.find(HEADERS_END)) >= 0:
            length = LENGTH.search(self._received, 0, end_of_headers)
            end_of_request = end_of_headers + len(HEADERS_END) + (int(length[1]) if length else 0)
            if len(self._received) < end_of_request:
                return
            self._received = self._received[end_of_request:]
            self._transport.write(ACCEPTED)


async def main(number: int) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Endpoint, "127.0.0.1", 0) for _ in range(number)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
