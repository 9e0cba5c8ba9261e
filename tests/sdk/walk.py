"""Walks the vendor's SDK, as it is, through every call of the simulator.

The simulator must have been started with jobs.yaml beside this file. Each step
asserts what the SDK made of the answer; the last line says that all were taken.
"""

import argparse
import os
import warnings

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions import exceptions
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkdrs.v3 import (
    BatchListJobDetailsRequest,
    BatchListJobStatusRequest,
    BatchModifyPwdReq,
    BatchQueryJobReqPage,
    BatchResetPasswordRequest,
    BatchRestoreTaskRequest,
    BatchRetryReq,
    DrsClient,
    ModifyPwdEndPoint,
    PageReq,
    QueryJobsReq,
    RetryInfo,
    ShowJobListRequest,
)
from huaweicloudsdkdrs.v5 import DrsClient as LaterClient
from huaweicloudsdkdrs.v5 import ShowActionsRequest

RUNNING = "11df459d-a37c-41b9-bc2b-8c00ba32jb51"
WAITING = "22df459d-a37c-41b9-bc2b-8c00ba32jb52"
FAILED = "33df459d-a37c-41b9-bc2b-8c00ba32jb53"
PARENT = "44df459d-a37c-41b9-bc2b-8c00ba32jb54"
SUBTASK = "55df459d-a37c-41b9-bc2b-8c00ba32jb55"
NOBODY = "66df459d-a37c-41b9-bc2b-8c00ba32jb56"


def built(kind, endpoint, project, secret):
    config = HttpConfig.get_default_config()
    config.timeout = (20, 20)
    credentials = BasicCredentials(os.environ["HUAWEICLOUD_SDK_AK"], secret, project)
    builder = kind.new_builder().with_http_config(config)
    return builder.with_credentials(credentials).with_endpoint(endpoint).build()


def reset(client, *entries):
    jobs = [
        ModifyPwdEndPoint(db_password=password, end_point_type=endpoint, job_id=job)
        for job, endpoint, password in entries
    ]
    request = BatchResetPasswordRequest(x_language="en-us", body=BatchModifyPwdReq(jobs=jobs))
    return client.batch_reset_password(request)


def passwords(client):
    answer = reset(client, (RUNNING, "so", "canary-1"), (RUNNING, "ta", "canary-2 \u00fc\U0001f511"))
    assert answer.status_code == 200, answer.status_code
    assert answer.count == 2, answer.count
    seen = [(line.id, line.end_point_type, line.status) for line in answer.results]
    assert seen == [(RUNNING, "so", "success"), (RUNNING, "ta", "success")], seen

    answer = reset(client, (RUNNING, "so", "canary-3"), (WAITING, "so", "canary-4"))
    assert answer.status_code == 200, answer.status_code
    taken, refused = answer.results
    assert (taken.id, taken.status, taken.error_code) == (RUNNING, "success", None), taken
    assert (refused.id, refused.status) == (WAITING, "failed"), refused
    assert refused.error_code == "DRS.M00304", refused
    assert refused.error_msg, refused

    try:
        reset(client, (NOBODY, "so", "canary-5"))
    except exceptions.ClientRequestException as error:
        assert error.status_code == 400, error
    else:
        raise AssertionError("a job that is not there was taken")


def states(client):
    ids = [RUNNING, WAITING, FAILED, PARENT, SUBTASK, NOBODY]

    def ask(page):
        body = BatchQueryJobReqPage(jobs=ids, page_req=page)
        return client.batch_list_job_status(BatchListJobStatusRequest(body=body))

    assert len(ask(None).results) == 5, "the usual page holds five"
    answer = ask(PageReq(cur_page=1, per_page=100))
    assert answer.count == 6, answer.count
    seen = {line.id: line.status for line in answer.results}
    assert seen[WAITING] == "WAITING_FOR_START", seen
    assert seen[FAILED] == "INCRE_TRANSFER_FAILED", seen
    assert answer.results[5].error_code == "DRS.M00289", answer


def details(client):
    body = BatchQueryJobReqPage(jobs=[RUNNING, PARENT, SUBTASK], page_req=PageReq(1, 100))
    answer = client.batch_list_job_details(BatchListJobDetailsRequest(body=body))
    running, parent, subtask = answer.results
    assert running.name == "running", running.name
    assert running.inst_info.engine_type == "mysql-to-taurus", running.inst_info
    source, target = running.source_endpoint, running.target_endpoint
    assert (source.db_type, source.ip, source.db_port) == ("mysql", "192.0.2.10", 3306)
    assert (source.db_user, source.db_password) == ("drs", "canary-detail")
    assert (target.db_type, target.db_password) == ("taurus", None)
    assert (parent.multi_write, parent.db_use_type) == (True, "cloudDataGuard")
    assert subtask.parent_id == PARENT, subtask.parent_id


def rows(client):
    def ask(**filters):
        body = QueryJobsReq(cur_page=1, per_page=10, engine_type="", **filters)
        return client.show_job_list(ShowJobListRequest(body=body))

    answer = ask(db_use_type="sync")
    assert answer.total_record == 3, answer.total_record
    assert [row.id for row in answer.jobs] == [RUNNING, WAITING, FAILED], answer
    actions = answer.jobs[0].job_action
    assert "RESET_DB_PWD" in actions.available_actions, actions
    answer = ask(db_use_type="cloudDataGuard")
    assert [row.id for row in answer.jobs] == [PARENT], answer
    assert [row.id for row in answer.jobs[0].children] == [SUBTASK], answer
    answer = ask(db_use_type="sync", name=f"{FAILED},{WAITING}")
    assert [row.name for row in answer.jobs] == ["waiting", "failed"], answer


def actions(client):
    answer = client.show_actions(ShowActionsRequest(job_id=WAITING))
    assert "RESET_DB_PWD" in answer.job_action.unavailable_actions, answer


def retries(client):
    jobs = [RetryInfo(job_id=job) for job in [FAILED, RUNNING, PARENT]]
    request = BatchRestoreTaskRequest(body=BatchRetryReq(jobs=jobs))
    answer = client.batch_restore_task(request)
    seen = [(line.id, line.status, line.error_code) for line in answer.results]
    expected = [
        (FAILED, "success", None),
        (RUNNING, "failed", "DRS.M00304"),
        (PARENT, "failed", "DRS.M00307"),
    ]
    assert seen == expected, seen


def refusal(client):
    try:
        reset(client, (RUNNING, "so", "canary-6"))
    except exceptions.ClientRequestException as error:
        assert error.status_code == 401, error
        assert error.error_code == "APIGW.0301", error
    else:
        raise AssertionError("a wrong secret key was taken")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--project", required=True)
    args = parser.parse_args()
    # The SDK calls nearly every call of this version deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    secret = os.environ["HUAWEICLOUD_SDK_SK"]
    client = built(DrsClient, args.endpoint, args.project, secret)
    for step in [passwords, states, details, rows, retries]:
        step(client)
        print(f"{step.__name__}: ok")
    actions(built(LaterClient, args.endpoint, args.project, secret))
    print("actions: ok")
    refusal(built(DrsClient, args.endpoint, args.project, "canary-wrong"))
    print("refusal: ok")
    print("the SDK took every answer")


if __name__ == "__main__":
    main()
