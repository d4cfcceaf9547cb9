namespace Espalier.Diagnosis;

/// <summary>How much a finding matters.</summary>
internal enum Severity
{
    /// <summary>As it should be.</summary>
    Good,

    /// <summary>Worth knowing.</summary>
    Note,

    /// <summary>Works, but less well or less safely.</summary>
    Warning,

    /// <summary>The data plane cannot run like this.</summary>
    Problem,
}

/// <summary>What a check found.</summary>
/// <param name="Severity">How much it matters.</param>
/// <param name="Subject">What was looked at, one or two words.</param>
/// <param name="Text">What was found.</param>
/// <param name="Advice">What to do; null where there is nothing to do.</param>
internal sealed record Finding(Severity Severity, string Subject, string Text, string? Advice = null);
