"""What commands read of the cluster and the account: once, watching nothing and changing nothing."""
