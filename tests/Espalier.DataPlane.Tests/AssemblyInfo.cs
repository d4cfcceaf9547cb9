using Xunit.Sdk;
using Xunit.v3;

// Memory and allocations are measured of the whole process.
[assembly: Parallelization(Mode = ParallelMode.None)]
