using System.CommandLine;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Espalier.Lab.Traffic;

// The lab's generator and sink: one action a process, one JSON object on standard output as its result. What listens prints its port first;
// `udp-sink` and `echo` go on until standard input ends, so that they never outlive the lab; a line with the number of datagrams that were sent ends
// `udp-sink` as soon as they are all there.
var from = new Option<string>("--from") { Description = "Local address.", Required = true };
var to = new Option<string>("--to") { Description = "Remote ADDRESS:PORT.", Required = true };
var at = new Option<string>("--at") { Description = "Local address to listen on.", Required = true };
var size = new Option<int>("--size") { Description = "UDP payload bytes, 8 to 2048.", DefaultValueFactory = _ => 64 };
var rate = new Option<double>("--rate") { Description = "Datagrams a second; 0 = as fast as it can." };
var seconds = new Option<double>("--seconds") { Description = "Length of the run or window.", DefaultValueFactory = _ => 2 };
var warmUp = new Option<double>("--warm-up") { Description = "Seconds before the window." };
var streams = new Option<int>("--streams") { Description = "TCP connections.", DefaultValueFactory = _ => 1 };
var count = new Option<int>("--count") { Description = "Probes.", DefaultValueFactory = _ => 1000 };
var interval = new Option<double>("--interval") { Description = "Seconds between probes.", DefaultValueFactory = _ => 0.005 };
size.Validators.Add(result =>
{
    if (result.GetValueOrDefault<int>() is < 8 or > 2048)
    {
        result.AddError("--size takes 8 to 2048");
    }
});

Command Action(string name, string description, Option[] options, Action<ParseResult> run)
{
    var command = new Command(name, description);
    foreach (var option in options)
    {
        command.Options.Add(option);
    }

    command.SetAction(parsed =>
    {
        try
        {
            run(parsed);
            return 0;
        }
        catch (SocketException exception)
        {
            Console.Error.WriteLine($"espalier-lab-traffic: {name}: {exception.Message}");
            return 1;
        }
    });
    return command;
}

void Print<T>(T result, JsonTypeInfo<T> type) => Console.Out.WriteLine(JsonSerializer.Serialize(result, type));
void Ready(Socket socket) => Print(new Listening(((IPEndPoint)socket.LocalEndPoint!).Port), ResultJson.Default.Listening);
IPAddress Address(ParseResult r, Option<string> option) => IPAddress.Parse(r.GetValue(option)!);
IPEndPoint Remote(ParseResult r) => IPEndPoint.Parse(r.GetValue(to)!);

CancellationToken EndOfInput(Action<long>? number = null)
{
    var end = new CancellationTokenSource();
    new Thread(() =>
    {
        while (Console.In.ReadLine() is { } line)
        {
            if (long.TryParse(line, CultureInfo.InvariantCulture, out long value))
            {
                number?.Invoke(value);
            }
        }

        end.Cancel();
    })
    { IsBackground = true }.Start();
    return end.Token;
}

var root = new RootCommand("Generator and sink of the Espalier lab. Started by the lab; usable by hand.")
{
    Action("udp-send", "Sends numbered datagrams.", [from, to, size, rate, seconds], r =>
        Print(Udp.Send(Address(r, from), Remote(r), r.GetValue(size), r.GetValue(rate), r.GetValue(seconds)), ResultJson.Default.UdpSent)),
    Action("udp-sink", "Counts datagrams until standard input ends.", [at, warmUp, seconds], r =>
    {
        using var socket = Udp.Open(Address(r, at));
        Ready(socket);
        long sent = long.MaxValue;
        var ended = EndOfInput(number => Interlocked.Exchange(ref sent, number));
        Print(Udp.Sink(socket, r.GetValue(warmUp), r.GetValue(seconds), () => Interlocked.Read(ref sent), ended), ResultJson.Default.UdpReceived);
    }),
    Action("tcp-send", "Sends streams.", [from, to, streams, seconds], r =>
        Print(Tcp.Send(Address(r, from), Remote(r), r.GetValue(streams), r.GetValue(seconds)), ResultJson.Default.TcpSent)),
    Action("tcp-sink", "Receives streams until they end.", [at, streams, warmUp, seconds], r =>
    {
        using var listener = new Socket(Address(r, at).AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(Address(r, at), 0));
        listener.Listen(r.GetValue(streams));
        Ready(listener);
        EndOfInput().Register(() => Environment.Exit(1)); // the lab is gone
        Print(Tcp.Sink(listener, r.GetValue(streams), r.GetValue(warmUp), r.GetValue(seconds)), ResultJson.Default.TcpReceived);
    }),
    Action("probe", "Round trips on a fixed schedule.", [from, to, size, count, interval], r =>
        Print(Latency.Probe(Address(r, from), Remote(r), r.GetValue(size), r.GetValue(count), r.GetValue(interval)), ResultJson.Default.Probed)),
    Action("echo", "Sends datagrams back until standard input ends.", [at], r =>
    {
        using var socket = Udp.Open(Address(r, at));
        Ready(socket);
        Latency.Echo(socket, EndOfInput());
    }),
    Action("watch", "Measures how late threads and programs start.", [seconds], r => Print(Watch.Run(r.GetValue(seconds)), ResultJson.Default.Bystander)),
};
return await root.Parse(args).InvokeAsync();
