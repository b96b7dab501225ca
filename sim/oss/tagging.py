"""Operations on the tags of objects."""

import dataclasses

from sim.oss import calls, errors, object_operations, tags, told, xml


@calls.operation("GetObjectTagging", "GET", calls.Level.OBJECT, "tagging")
def get_object_tagging(call: calls.Call) -> calls.Answer:
    """The object's tags; none at all is fine."""
    found = object_operations.readable(call)
    rows = [("Tag", (("Key", key), ("Value", value))) for key, value in found.tags.items()]
    body = xml.document("Tagging", [("TagSet", rows)], namespace=told.namespace(call.ask))
    return calls.Answer(body=body)


@calls.operation("PutObjectTagging", "PUT", calls.Level.OBJECT, "tagging", changes=True)
def put_object_tagging(call: calls.Call) -> calls.Answer:
    """Replace the object's tags. Its time of change stays."""
    found = object_operations.readable(call)
    rows = [
        (tag.findtext("Key") or "", tag.findtext("Value") or "")
        for tag in errors.parsed(call.body).iter("Tag")
    ]
    call.rows.put(dataclasses.replace(found, tags=tags.checked(rows)))
    return calls.Answer()


@calls.operation("DeleteObjectTagging", "DELETE", calls.Level.OBJECT, "tagging", changes=True)
def delete_object_tagging(call: calls.Call) -> calls.Answer:
    """Remove the object's tags."""
    call.rows.put(dataclasses.replace(object_operations.readable(call), tags={}))
    return calls.Answer(status=204)
