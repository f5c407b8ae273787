"""The type of view functions, for decorators."""

from collections.abc import Callable

from flask.typing import ResponseReturnValue

View = Callable[..., ResponseReturnValue]
