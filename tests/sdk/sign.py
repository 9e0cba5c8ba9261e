"""Prints the Authorization that the vendor's SDK gives a request.

Reads JSON from standard input: method, url, headers (an object), body (a text),
ak and sk. The headers are signed as they are given; X-Sdk-Date should be among
them, or the signature is of the present second.
"""

import json
import sys
from urllib.parse import parse_qsl, urlsplit

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer


def main():
    asked = json.load(sys.stdin)
    url = urlsplit(asked["url"])
    request = SdkRequest(
        method=asked["method"],
        schema=url.scheme,
        host=url.netloc,
        resource_path=url.path,
        query_params=parse_qsl(url.query, keep_blank_values=True),
        header_params=dict(asked.get("headers") or {}),
        body=asked.get("body") or "",
    )
    signed = Signer(BasicCredentials(asked["ak"], asked["sk"])).sign(request)
    print(signed.header_params["Authorization"])


if __name__ == "__main__":
    main()
