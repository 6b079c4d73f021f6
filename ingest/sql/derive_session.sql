-- What is derived need not be on the disk before the worker goes on: the log is in order, so marks are never lost before
-- what they stood for, and a mark that is back is derived once more. Batches do not wait for these writes then.
SET synchronous_commit = off
