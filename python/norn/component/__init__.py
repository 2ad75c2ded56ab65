"""Write a component as a function.

    from typing import Annotated
    from norn.component import DataInput, DataOutput, Param, Task, component, main

    @component(roles=["guest", "host"], version="1.0.0")
    def row_count(task: Task, input_data: DataInput, *, times: Annotated[int, Param(minimum=1)] = 1) -> None:
        "Counts the rows of a table."
        task.metric("rows", times * len(input_data))

    if __name__ == "__main__":
        main()

The first argument is the task; arguments typed DataInput, DataOutput, ModelInput, ModelOutput are artifacts
(Optional[...]: may be left out; list[...]: any number); keyword-only arguments are parameters, their types checked
before the call.

A site learns of the component by `python -m norn.component register MODULE`, and then runs `python -m MODULE component
execute ...` for each task. norn.component.testing runs it without a node.
"""

from norn.component.cli import main as main
from norn.component.data import Field as Field
from norn.component.data import ModelReader as ModelInput
from norn.component.data import ModelWriter as ModelOutput
from norn.component.data import Table as DataInput
from norn.component.data import TableWriter as DataOutput
from norn.component.declare import Artifact as Artifact
from norn.component.declare import Component as Component
from norn.component.declare import Param as Param
from norn.component.declare import component as component
from norn.component.errors import ComponentError as ComponentError
from norn.component.errors import DataError as DataError
from norn.component.errors import DeclarationError as DeclarationError
from norn.component.errors import MessageError as MessageError
from norn.component.errors import ParameterError as ParameterError
from norn.component.errors import TaskConfigurationError as TaskConfigurationError
from norn.component.task import Task as Task

__all__ = [
    "Artifact",
    "Component",
    "ComponentError",
    "DataError",
    "DataInput",
    "DataOutput",
    "DeclarationError",
    "Field",
    "MessageError",
    "ModelInput",
    "ModelOutput",
    "Param",
    "ParameterError",
    "Task",
    "TaskConfigurationError",
    "component",
    "main",
]
