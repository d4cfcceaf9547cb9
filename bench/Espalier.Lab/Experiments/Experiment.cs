using Espalier.Lab.Subjects;

namespace Espalier.Lab.Experiments;

/// <summary>Which variants of a subject take part where nobody names them.</summary>
internal enum Variants
{
    /// <summary>The first of each subject: variants do not differ in what is measured.</summary>
    First,

    /// <summary>Those that claims and goals are about.</summary>
    Main,

    /// <summary>All.</summary>
    All,
}

/// <summary>Something to measure on every subject.</summary>
internal abstract class Experiment
{
    /// <summary>Name, as `run` takes it.</summary>
    public abstract string Name { get; }

    /// <summary>The claim of the design that it tests: C1 to C6.</summary>
    public abstract string Claim { get; }

    /// <summary>The claim as those who refuse libipsec put it.</summary>
    public abstract string Sentence { get; }

    /// <summary>What it does and shows, in one line.</summary>
    public abstract string Description { get; }

    /// <summary>Alternations where --repeat does not say.</summary>
    public virtual int Repeat(LabSettings settings) => settings.Full ? 9 : 3;

    /// <summary>Whether it says anything about a subject.</summary>
    public virtual bool Applies(Subject subject) => true;

    /// <summary>Which variants of a subject the short profile takes.</summary>
    public virtual Variants Tells => Variants.First;

    /// <summary>Whether the subject is started before; the others start it themselves, with limits of their own.</summary>
    public virtual bool StartsSubject => true;

    /// <summary>Null if this machine can do it, else why not.</summary>
    public virtual string? WhatIsMissing() => null;

    /// <summary>About how long one subject takes, in seconds, for the estimate.</summary>
    public abstract double EstimateSeconds(LabSettings settings, Subject subject);

    /// <summary>How much longer that may take, in seconds, on a restless machine.</summary>
    public virtual double RestlessSeconds(LabSettings settings, Subject subject) => 0;

    /// <summary>Measures one subject once.</summary>
    public abstract Task RunAsync(Trial trial, CancellationToken cancellation);
}
