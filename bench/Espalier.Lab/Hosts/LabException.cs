namespace Espalier.Lab.Hosts;

/// <summary>Something the lab needs is not there or failed; the message is one line for the user.</summary>
public sealed class LabException : Exception
{
    public LabException()
    {
    }

    public LabException(string message)
        : base(message)
    {
    }

    public LabException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
