using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using MessagePack;
using MessagePack.Formatters;
using MessagePack.Resolvers;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Protocol;
using Microsoft.Extensions.Options;
using WebVm.Api.Console.Display;

namespace WebVm.Api.Console;

/// <summary>
/// SignalR's MessagePack, for what the hubs here have as arguments and results: numbers, texts, ids, bytes and what else MessagePack has a
/// form of its own for, and frames, which write themselves. No other type is read or written by its members, and no code is made for one
/// when the service runs.
/// </summary>
internal sealed class ConsoleProtocol : IHubProtocol
{
    public const string ProtocolName = "messagepack";

    private static readonly MessagePackSerializerOptions s_values = MessagePackSerializerOptions.Standard
        .WithResolver(CompositeResolver.Create([new FrameFormatter()], [BuiltinResolver.Instance]))
        .WithSecurity(MessagePackSecurity.UntrustedData);

    private readonly MessagePackHubProtocol _protocol = new(
        Options.Create(new MessagePackHubProtocolOptions { SerializerOptions = s_values }));

    public string Name => ProtocolName;

    public int Version => _protocol.Version;

    public TransferFormat TransferFormat => _protocol.TransferFormat;

    public bool IsVersionSupported(int version) => _protocol.IsVersionSupported(version);

    public ReadOnlyMemory<byte> GetMessageBytes(HubMessage message) => _protocol.GetMessageBytes(message);

    public void WriteMessage(HubMessage message, IBufferWriter<byte> output) => _protocol.WriteMessage(message, output);

    /// <exception cref="InvalidDataException">What was sent is no message: SignalR closes the connection, and nobody's log gets a
    /// stack.</exception>
    public bool TryParseMessage(ref ReadOnlySequence<byte> input, IInvocationBinder binder, [NotNullWhen(true)] out HubMessage? message)
    {
        try
        {
            long left;
            do
            {
                left = input.Length;
                if (_protocol.TryParseMessage(ref input, binder, out message))
                {
                    return true;
                }
            }
            while (input.Length < left); // a kind from a later version of the protocol, which is passed over

            return false;
        }
        catch (Exception failure) when (failure is MessagePackSerializationException or EndOfStreamException or OverflowException)
        {
            throw new InvalidDataException("This is no message of the protocol.", failure);
        }
    }

    /// <summary>How frames go out: from the buffer they were composed in, and without an allocation.</summary>
    private sealed class FrameFormatter : IMessagePackFormatter<Viewer>
    {
        public void Serialize(ref MessagePackWriter writer, Viewer value, MessagePackSerializerOptions options) =>
            writer.Write(value.Frame);

        public Viewer Deserialize(ref MessagePackReader reader, MessagePackSerializerOptions options) =>
            throw new MessagePackSerializationException("Frames are sent, never received.");
    }
}
