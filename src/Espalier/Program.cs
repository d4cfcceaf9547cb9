using Espalier.CommandLine;

StandardStreams.OpenWhatIsClosed();
return RootCommandFactory.Invoke(args, Console.Out, Console.Error);
