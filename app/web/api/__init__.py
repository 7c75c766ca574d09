"""The HTTP API: every operation is declared once, at its function; its route and its documentation both come from there.

``params`` and ``responses`` hold the types of requests and answers, ``runs`` and ``queries`` carry operations out,
``reading`` parses a request, ``spelling`` renames the fields of every answer, and ``app.web.problems`` turns an error into
an answer.
"""

from app.web.api.routes import api_routes

__all__ = ["api_routes"]
