"""Find the fewest roles that cover plain pairs of user and permission: `rightsize mine`."""
