SELECT fleet.erase_some($1)
