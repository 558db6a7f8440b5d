"""The HTTP calls as an OpenAPI document, made of the operations that the routes are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import appliance
from appliance.hub.rest_call import ErrorAnswer, Nothing, Operation

__all__ = ["document"]

_DESCRIPTION: Final = """\
Rooms, their sessions, recordings and streams, and the tokens that let people in. Lists give the
newest first, page by page: follow their links. All times are UTC.
"""

_REASONS: Final = {
    400: "The body is no JSON object.",
    401: "The project id and the API token are missing or wrong.",
    404: "There is no such thing.",
    409: "It does not go together with what is there.",
    413: "The body is too large.",
    422: "A parameter is wrong; `attribute` names it.",
    503: "The hub's database cannot be used just now.",
}

_REF: Final = "#/components/schemas/{model}"

Mode = Literal["validation", "serialization"]


def document(operations: Iterable[Operation[Any, Any]], prefix: str) -> dict[str, Any]:
    """The document of calls that are mounted at `prefix`."""
    operations = list(operations)
    references, schemas = models_json_schema(_models(operations), ref_template=_REF)
    definitions = schemas.get("$defs", {})
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = paths.setdefault(prefix + operation.path, {})
        path[operation.method.lower()] = _describe(operation, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Roomlet hub",
            "version": appliance.__version__,
            "description": _DESCRIPTION,
        },
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The project id as the user, the API token as the password.",
                },
                "link": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "signature",
                    "description": "Part of a link that the hub gave, as is `expires`.",
                },
            },
        },
    }


def _models(operations: Iterable[Operation[Any, Any]]) -> list[tuple[type[BaseModel], Mode]]:
    models: dict[tuple[type[BaseModel], Mode], None] = {(ErrorAnswer, "serialization"): None}
    for operation in operations:
        if operation.body is not Nothing:
            models[operation.body, "validation"] = None
        if operation.answer is not None:
            models[operation.answer, "serialization"] = None
    return list(models)


def _describe(operation: Operation[Any, Any], references: Mapping[Any, Any]) -> dict[str, Any]:
    security: list[dict[str, list[str]]] = [{"basic": []}]
    if operation.by_link:
        security.append({"link": []})
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "security": security,
        "parameters": _parameters(operation),
        "responses": _responses(operation, references),
    }
    if operation.body is not Nothing:
        needed = any(field.is_required() for field in operation.body.model_fields.values())
        schema = references[operation.body, "validation"]
        described["requestBody"] = {
            "required": needed,
            "content": {"application/json": {"schema": schema}},
        }
    return described


def _parameters(operation: Operation[Any, Any]) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = []
    if "{id}" in operation.path:
        where = {"name": "id", "in": "path", "required": True}
        parameters.append({**where, "schema": {"type": "string", "minLength": 1}})
    fields = operation.query.model_json_schema(mode="validation").get("properties", {})
    for name, schema in fields.items():
        where = {"name": name, "in": "query", "required": False}
        parameters.append({**where, "schema": _without_null(schema)})
    return parameters


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query has no null: what is not given is left out."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "title")}
    if rest.get("default", 0) is None:
        del rest["default"]
    return {**rest, **kinds[0]} if len(kinds) == 1 else rest


def _responses(operation: Operation[Any, Any], references: Mapping[Any, Any]) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "Done."}
    if operation.answer is not None:
        schema = references[operation.answer, "serialization"]
        done["content"] = {operation.media_type: {"schema": schema}}
    elif operation.status != 204:
        content = {"schema": {"type": "string", "contentMediaType": operation.media_type}}
        done["content"] = {operation.media_type: content}
    responses = {str(operation.status): done}
    if operation.media_type != "application/json":
        responses["206"] = {**done, "description": "The part that was asked for."}
        responses["416"] = {"description": "There is no such part."}
    body = (400, 413) if operation.body is not Nothing else ()
    error = {"application/json": {"schema": references[ErrorAnswer, "serialization"]}}
    for status in sorted({401, 422, 503, *body, *operation.refusals}):
        responses[str(status)] = {"description": _REASONS[status], "content": error}
    return responses
