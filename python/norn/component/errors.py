"""Errors of components. Their words end up in the task's status, for the people who run the job."""

from __future__ import annotations

from norn.errors import NornError


class ComponentError(NornError):
    """Raise it to fail the task with a reason; the reason alone is shown, without a traceback."""


class ParameterError(ComponentError):
    """A parameter of the task is missing, unknown or wrong."""


class TaskConfigurationError(ComponentError):
    """What started the component is wrong: the task configuration, or an artifact that it names."""


class DataError(ComponentError):
    """A table or model is damaged, or does not hold what is asked of it."""


class MessageError(ComponentError):
    """A message to or from another party did not get through."""


class DeclarationError(NornError):
    """A component is declared wrongly; raised when its module is loaded."""
