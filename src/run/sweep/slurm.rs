//! Runs the points of a sweep on a cluster, as job arrays of Slurm.
