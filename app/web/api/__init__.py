"""The HTTP API: every operation is declared once, in ``table``; its route and its documentation both come from there.

``asked`` and ``answers`` are what goes in and out, ``runs`` and ``questions`` what the operations do, ``reading`` how
a request becomes what is asked; ``app.web.problems`` how an error becomes an answer.
"""

from app.web.api.routes import api_routes

__all__ = ["api_routes"]
