namespace Espalier.Io.Sockets.SharedPort;

/// <summary>A network interface from which ESP may come.</summary>
/// <param name="Index">Its index.</param>
/// <param name="Name">Its name.</param>
public readonly record struct PortDevice(uint Index, string Name);
