"""Reads a password change with the vendor's SDK and prints what it saw.

The argument names a file with the JSON body of a request. It is read into the
SDK's own BatchModifyPwdReq by the SDK's own machinery, which passes over fields
that it does not know; what comes out again has to be all that went in. Printed
is one JSON array for each entry: job id, end_point_type, password.
"""

import json
import sys

from huaweicloudsdkcore.utils import http_utils
from huaweicloudsdkdrs.v3 import BatchModifyPwdReq, DrsClient


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        body = json.load(file)
    client = DrsClient()
    # The same step that its client takes with an answer of a named type.
    read = client._deserialize(body, "BatchModifyPwdReq")
    assert isinstance(read, BatchModifyPwdReq)
    again = http_utils.sanitize_for_serialization(read)
    assert again == body, "the SDK does not know all fields of the body"
    for entry in read.jobs:
        print(json.dumps([entry.job_id, entry.end_point_type, entry.db_password]))


if __name__ == "__main__":
    main()
