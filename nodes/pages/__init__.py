"""What the server's sides of the pages have in common; nothing here knows the host.

lazy_routes   routes whose handlers are loaded when they are first asked for
errors        errors as answers that say what to do
requests      what was sent, checked
"""

__all__ = ["errors", "lazy_routes", "requests"]
