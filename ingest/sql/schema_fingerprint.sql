-- Null: there is no schema `api`. Empty: there is one, without a comment.
SELECT coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace WHERE nspname = 'api'
