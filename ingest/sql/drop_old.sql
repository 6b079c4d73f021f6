SELECT fleet.drop_old($1)
