#!/bin/sh
# The state of an environment lives on a branch of its own, drspass-state/NAME: it is
# fetched into .state before drspass runs, and pushed after.
#
#   ci/state.sh fetch NAME
#   ci/state.sh push NAME
set -eu
mode=${1-}
environment=${2-}
if [ -z "$environment" ]; then
    mode=
fi
branch=drspass-state/$environment

# Hooks, the signing key and line ends of whoever works here are for files of his own: a
# state that a hook refuses would be lost, and one with other line ends is refused.
git() {
    command git -c core.hooksPath=/dev/null -c commit.gpgSign=false -c push.gpgSign=false \
        -c core.autocrlf=false -c core.attributesFile=/dev/null "$@"
}

case $mode in
fetch)
    if [ -e .state ]; then
        echo ".state is left from another job: push it, or move it away" >&2
        exit 1
    fi
    # Only git's own word that there is no such branch means a first run. Anything
    # else that goes wrong ends the job: a state that cannot be fetched is not absent.
    if ! heads=$(git ls-remote --heads origin "refs/heads/$branch"); then
        echo "the state of $environment cannot be fetched" >&2
        exit 1
    fi
    # git matches the end of a name; this is the whole one.
    commit=$(printf '%s\n' "$heads" | awk -v name="refs/heads/$branch" '$2 == name { print $1 }')
    if [ -n "$commit" ]; then
        # A clone that has all of its history keeps it.
        if [ "$(git rev-parse --is-shallow-repository)" = true ]; then
            git fetch --quiet --depth 1 origin "$commit"
        else
            git fetch --quiet origin "$commit"
        fi
        git worktree add --quiet --force --detach .state "$commit"
    else
        git worktree add --quiet --force --detach --no-checkout .state HEAD
        # The name is local and used once: a runner may keep clones between jobs.
        git -C .state switch --quiet --orphan "first-state-$environment-$(date +%s)-$$"
    fi
    ;;
push)
    cd .state
    # The state, the journal of an apply that was cut off, and the file of one that could not
    # save its state; not the lock and the backup.
    for file in drspass.state.json drspass.state.json.journal drspass.state.json.recovery-*; do
        if [ -e "$file" ] || git ls-files --error-unmatch -- "$file" >/dev/null 2>&1; then
            git add --all --force -- "$file"
        fi
    done
    if ! git diff --cached --quiet; then
        git -c user.name=drspass -c user.email=drspass@localhost \
            commit --quiet --message "State of $environment"
    fi
    # Nothing there to push after a first run that came to nothing.
    git rev-parse --quiet --verify HEAD >/dev/null || exit 0
    # Never by force: a state that somebody else pushed meanwhile must not be lost.
    if ! git push --quiet origin "HEAD:refs/heads/$branch"; then
        echo "THE STATE OF $environment WAS NOT PUSHED: take it from the artefact of this" \
            "job (.state) and push it to $branch before the next apply" >&2
        exit 1
    fi
    ;;
*)
    echo "use: ci/state.sh fetch|push ENVIRONMENT" >&2
    exit 64
    ;;
esac
