using Espalier.CommandLine;

return RootCommandFactory.Invoke(args, Console.Out, Console.Error);
