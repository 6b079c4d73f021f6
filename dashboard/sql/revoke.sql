SELECT api.revoke($1)
