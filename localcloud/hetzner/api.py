"""The HTTP application: routes from tables, one middleware each for errors, the rate limit and the token.

A path is looked up before the token is read, a method after it, as the provider does (seen at api.hetzner.cloud).
"""

from __future__ import annotations

import hmac
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import typedefs, web

from localcloud.hetzner import (
    catalog,
    control,
    firewalls,
    floating_ips,
    lists,
    networks,
    placement_groups,
    primary_ips,
    server_actions,
    server_networks,
    servers,
    ssh_keys,
    volumes,
)
from localcloud.hetzner.actions import ActionFailedError
from localcloud.hetzner.body import parse
from localcloud.hetzner.cloud import Cloud, Endpoint, Reply
from localcloud.hetzner.errors import ApiError
from localcloud.hetzner.fault_panel import inject_faults
from localcloud.hetzner.limits import REQUESTS_PER_HOUR, Budget
from localcloud.hetzner.lists import Listing
from localcloud.hetzner.query import Page

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PREFIX = "/v1"
OVER_LIMIT = ApiError(429, "rate_limit_exceeded", f"limit of {REQUESTS_PER_HOUR} requests per hour reached")
ID = r"{id:\d+}"
ENDPOINTS: tuple[Endpoint, ...] = tuple(
    endpoint
    for resource in (
        ssh_keys, networks, placement_groups, firewalls, servers, server_actions, server_networks, primary_ips,
        floating_ips, volumes,
    )
    for endpoint in resource.ENDPOINTS
)  # fmt: skip


def build_app(cloud: Cloud, token: str) -> web.Application:
    """The API of one project, for those who have its token."""
    faults = inject_faults(cloud.faults, PREFIX)
    app = web.Application(middlewares=[limit_rate(), answer_errors, require_token(token), faults])
    for endpoint in ENDPOINTS:
        path = PREFIX + endpoint.path.replace("{id}", ID)
        app.router.add_route(endpoint.method, path, _operation(cloud, endpoint))
    for listing in lists.CATALOG:
        _add_reading(app, cloud, listing)
    for listing in lists.RECORDS:
        _add_reading(app, cloud, listing)
        _add_actions(app, cloud, listing)
    _add_rest(app, cloud)
    control.add_routes(app, cloud)
    return app


def _get(app: web.Application, path: str, handler: Handler) -> None:
    app.router.add_route("GET", PREFIX + path, handler)


def _operation(cloud: Cloud, endpoint: Endpoint) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        arguments: list[Any] = [int(request.match_info["id"])] if "{id}" in endpoint.path else []
        if endpoint.body:
            arguments.append(parse(endpoint.body, await _json(request)))
        await cloud.observe_power()
        reply = transact(cloud, endpoint, arguments)
        if reply.wait:
            await cloud.actions.wait(reply.wait)
        return _respond(reply.status, reply.body)

    return handle


def transact(cloud: Cloud, endpoint: Endpoint, arguments: list[Any]) -> Reply:
    """One mutation, one transaction; its actions start once it is kept."""
    try:
        with cloud.records.transaction():
            reply = endpoint.handle(cloud, *arguments)
    except BaseException:
        cloud.actions.drop()
        raise
    cloud.actions.launch()
    return reply


async def _json(request: web.Request) -> object:
    try:
        return json.loads(await request.read() or b"{}")
    except ValueError:
        raise ApiError(400, "json_error", "the request's body is not JSON") from None


def _add_reading(app: web.Application, cloud: Cloud, listing: Listing) -> None:
    async def some(request: web.Request) -> web.Response:
        await cloud.observe_power()
        return _page(request, listing.kind, listing.page(cloud, _query(request)))

    async def one(request: web.Request) -> web.Response:
        await cloud.observe_power()
        return _respond(200, {listing.singular: listing.one(cloud, int(request.match_info["id"]))})

    _get(app, f"/{listing.kind}", some)
    _get(app, f"/{listing.kind}/{ID}", one)


def _add_actions(app: web.Application, cloud: Cloud, listing: Listing) -> None:
    def ident(request: web.Request) -> int | None:
        return int(request.match_info["id"]) if "id" in request.match_info else None

    async def some(request: web.Request) -> web.Response:
        return _page(request, "actions", lists.actions_of(cloud, listing, ident(request), _query(request)))

    async def one(request: web.Request) -> web.Response:
        action_id = int(request.match_info["action_id"])
        return _respond(200, {"action": lists.action_of(cloud, listing, ident(request), action_id)})

    for base in (f"/{listing.kind}", f"/{listing.kind}/{ID}"):
        _get(app, f"{base}/actions", some)
        _get(app, base + r"/actions/{action_id:\d+}", one)


def _add_rest(app: web.Application, cloud: Cloud) -> None:
    async def actions(request: web.Request) -> web.Response:
        return _page(request, "actions", lists.actions_named(cloud, _query(request)))

    async def action(request: web.Request) -> web.Response:
        return _respond(200, {"action": lists.one_action(cloud, int(request.match_info["id"]))})

    async def pricing(_: web.Request) -> web.Response:
        return _respond(200, {"pricing": catalog.pricing_view()})

    async def datacenters(_: web.Request) -> web.Response:
        raise lists.datacenters_removed()

    _get(app, "/actions", actions)
    _get(app, f"/actions/{ID}", action)
    _get(app, "/pricing", pricing)
    _get(app, "/datacenters", datacenters)
    _get(app, f"/datacenters/{ID}", datacenters)


def _query(request: web.Request) -> dict[str, list[str]]:
    return {name: request.query.getall(name) for name in request.query}


def _page(request: web.Request, name: str, page: Page) -> web.Response:
    response = _respond(200, {name: page.views, "meta": page.meta})
    urls = ((relation, request.url.update_query(page=number)) for relation, number in page.links.items())
    response.headers["Link"] = ", ".join(f'<{url}>; rel="{relation}"' for relation, url in urls)
    return response


def _respond(status: int, body: object = None) -> web.Response:
    return web.Response(status=status) if body is None else web.json_response(body, status=status)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error in the provider's form, and one line in the log without bodies or queries."""
    began = time.monotonic()
    try:
        response = await handler(request)
    except ApiError as error:
        response = _respond(error.status, error.body())
    except ActionFailedError as error:
        response = _respond(500, ApiError(500, "server_error", str(error)).body())
    except web.HTTPException as error:
        response = _respond(error.status, _http_error(error).body())
    except Exception:
        log.exception("%s %s", request.method, request.path)
        response = _respond(500, ApiError(500, "server_error", "the local cloud failed; its log says why").body())
    response.headers["X-Correlation-Id"] = secrets.token_hex(8)
    elapsed_ms = 1000 * (time.monotonic() - began)
    log.info("%s %s %d %.0f ms", request.method, request.path, response.status, elapsed_ms)
    return response


def _http_error(error: web.HTTPException) -> ApiError:
    known = {
        404: ("not_found", "api route not found"),
        405: ("method_not_allowed", "the request method is not allowed"),
    }
    return ApiError(error.status, *known.get(error.status, ("invalid_input", error.reason)))


def limit_rate() -> typedefs.Middleware:
    """Every reply says what is left, also an error's; one that says "too many" leaves nothing."""
    budget = Budget(REQUESTS_PER_HOUR, time.time())

    @web.middleware
    async def limit(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal budget
        if not request.path.startswith(PREFIX):
            return await handler(request)
        budget = budget.refilled(time.time())
        if spent := budget.spent():
            budget = spent
            response = await handler(request)
        else:
            response = _respond(429, OVER_LIMIT.body())
        shown = budget.exhausted() if response.status == OVER_LIMIT.status else budget
        response.headers.update(shown.headers)
        return response

    return limit


def require_token(token: str) -> typedefs.Middleware:
    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if isinstance(request.match_info.http_exception, web.HTTPNotFound):
            return await handler(request)
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            raise ApiError(401, "unauthorized", "token is required")
        if not hmac.compare_digest(given.strip().encode(), token.encode()):
            raise ApiError(401, "unauthorized", "the token you have provided is invalid")
        return await handler(request)

    return check
