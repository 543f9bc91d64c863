"""The mailbox between the stages: slots in shared memory, lent and returned through POSIX message queues.

One channel joins one publisher to its subscribers; the latest message wins. The rules are in `protocol` (pure), the
bytes in `layout` and `slots`, the files in `run_folder`, `channel_file` and `registration`, the wake-ups in `queues`;
`publisher` and `subscriber` put them together, `mailbox` names the ends that stages open.
docs/decisions/0002-mailbox.md says why it is built this way.
"""
