namespace Espalier.Wire.Tests;

/// <summary>
/// Tests that count bytes allocated on their thread: they run alone, because a collection that another test causes shifts the count by some bytes.
/// </summary>
[CollectionDefinition(nameof(AllocationCollection), DisableParallelization = true)]
public sealed class AllocationCollection;
