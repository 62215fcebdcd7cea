"""nginx's own error pages, byte for byte."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.lab.gateway.messages import REASONS, Answer

HEADER_TOO_LARGE = 494


@dataclass(frozen=True, slots=True, kw_only=True)
class NginxPages:
    """The pages of the Admin port's nginx: the body's opening tag and what stands at its foot."""

    body: str = "<body>"
    foot: str = ""

    def page(self, status: int, *headers: tuple[str, str]) -> Answer:
        """The page of a status; further headers follow nginx's."""
        title = f"{status} {REASONS.get(status, 'Unknown')}"
        center = f"<center><h1>{title}</h1></center>"
        if status == HEADER_TOO_LARGE:
            title, status = "400 Request Header Or Cookie Too Large", 400
            center = "<center><h1>400 Bad Request</h1></center>\n<center>Request Header Or Cookie Too Large</center>"
        head = f"<html>\n<head><title>{title}</title></head>\n{self.body}\n"
        page = f"{head}{center}\n{self.foot}</body>\n</html>\n"
        body = page.replace("\n", "\r\n").encode()
        return Answer(
            status=status,
            headers=(("Content-Type", "text/html; charset=UTF-8"), ("Content-Length", str(len(body))), *headers),
            body=body,
        )

    def refusal(self, status: int) -> Answer:
        """The answer to what is no request."""
        return self.page(status)
