"""What pages ask of a run: its curve and results, and the files of its report."""

from __future__ import annotations

import asyncio

from ..host.routes import routes_without
from .runs import KINDS, RunNotFoundError, read_run, report_file

_RUN = f"/ace/runs/{{kind:{'|'.join(KINDS)}}}/{{name}}"
# A report shows pictures and words of datasets, which may come from anywhere. It can run its own script, and nothing on
# it can act in the artist's name on the server it came from.
_HEADERS = {"Content-Security-Policy": "sandbox allow-scripts allow-popups", "X-Content-Type-Options": "nosniff"}


def register() -> None:
    """Opens GET /ace/runs/KIND/NAME, which describes a run (null: none yet), and below it /report/FILE with its report."""
    from aiohttp import web

    routes = routes_without(_RUN)
    if routes is None:
        return

    @routes.get(_RUN)
    async def run(request: web.Request) -> web.Response:
        try:
            return web.json_response(await asyncio.to_thread(read_run, **request.match_info))
        except RunNotFoundError:
            # The usual answer for a node that has not run yet: an error would stand in the console of every browser.
            return web.json_response(None)

    @routes.get(_RUN + "/report/{file:.*}")
    async def report(request: web.Request) -> web.StreamResponse:
        try:
            path, content_type = await asyncio.to_thread(report_file, **request.match_info)
            body = await asyncio.to_thread(path.read_bytes)
        except (RunNotFoundError, OSError) as error:
            return web.Response(text=str(error), status=404)
        response = web.Response(body=body, headers={**_HEADERS, "Content-Type": content_type})
        # Sent from here: with --disable-api-nodes ComfyUI would put a policy of its own in the place of ours.
        await response.prepare(request)
        await response.write_eof()
        return response
