using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Protocol;

namespace WebVm.Api.Console.MessagePack;

/// <summary>
/// SignalR's MessagePack hub protocol (aspnetcore, HubProtocol.md, "MessagePack (MsgPack) encoding"), so that the official JavaScript client is
/// used unchanged. Arguments and results are nil, booleans, numbers, strings, byte arrays, string arrays, and what implements
/// <see cref="IMessagePackValue"/>: all that the hubs here use.
/// </summary>
internal sealed class MessagePackHubProtocol : IHubProtocol
{
    public const string ProtocolName = "messagepack";

    private const int ErrorResult = 1;
    private const int VoidResult = 2;
    private const int NonVoidResult = 3;
    private const int LongestLengthPrefix = 5;

    public string Name => ProtocolName;

    public int Version => 1;

    public TransferFormat TransferFormat => TransferFormat.Binary;

    public bool IsVersionSupported(int version) => version is 1 or 2;

    public bool TryParseMessage(ref ReadOnlySequence<byte> input, IInvocationBinder binder, [NotNullWhen(true)] out HubMessage? message)
    {
        // A kind from a later version of the protocol is passed over.
        message = null;
        while (message is null && TryReadFrame(ref input, out var frame))
        {
            message = ParseFrame(frame, binder);
        }

        return message is not null;
    }

    public ReadOnlyMemory<byte> GetMessageBytes(HubMessage message)
    {
        var buffer = new ArrayBufferWriter<byte>();
        WriteMessage(message, buffer);
        return buffer.WrittenMemory;
    }

    public void WriteMessage(HubMessage message, IBufferWriter<byte> output)
    {
        var body = BodyBuffer.Rent();
        try
        {
            Write(message, new MessagePackWriter(body));
            WriteLength(body.WrittenCount, output);
            output.Write(body.WrittenSpan);
        }
        finally
        {
            BodyBuffer.Return(body);
        }
    }

    /// <summary>Messages are framed by their length as a variable-length integer, seven bits a byte, least significant first.</summary>
    private static bool TryReadFrame(ref ReadOnlySequence<byte> input, out ReadOnlySequence<byte> frame)
    {
        frame = default;
        var reader = new SequenceReader<byte>(input);
        ulong length = 0;
        for (int i = 0; ; i++)
        {
            if (!reader.TryRead(out byte next))
            {
                return false;
            }

            length |= (ulong)(next & 0x7f) << (7 * i);
            if ((next & 0x80) == 0)
            {
                break;
            }

            if (i + 1 == LongestLengthPrefix)
            {
                throw new InvalidDataException("A message is longer than 2 GiB.");
            }
        }

        if (length > int.MaxValue)
        {
            throw new InvalidDataException("A message is longer than 2 GiB.");
        }

        if ((ulong)reader.Remaining < length)
        {
            return false;
        }

        frame = input.Slice(reader.Position, (long)length);
        input = input.Slice(frame.End);
        return true;
    }

    private static void WriteLength(int length, IBufferWriter<byte> output)
    {
        var span = output.GetSpan(LongestLengthPrefix);
        int count = 0;
        uint rest = (uint)length;
        do
        {
            span[count++] = (byte)((rest & 0x7f) | (rest > 0x7f ? 0x80u : 0));
            rest >>= 7;
        }
        while (rest > 0);
        output.Advance(count);
    }

    private static HubMessage? ParseFrame(ReadOnlySequence<byte> frame, IInvocationBinder binder)
    {
        byte[]? rented = null;
        var span = frame.FirstSpan;
        if (!frame.IsSingleSegment)
        {
            rented = ArrayPool<byte>.Shared.Rent((int)frame.Length);
            frame.CopyTo(rented);
            span = rented.AsSpan(0, (int)frame.Length);
        }

        try
        {
            return Parse(span, binder);
        }
        catch (OverflowException failure)
        {
            throw new InvalidDataException("A number is out of range.", failure);
        }
        finally
        {
            if (rented is not null)
            {
                ArrayPool<byte>.Shared.Return(rented);
            }
        }
    }

    private static HubMessage? Parse(ReadOnlySpan<byte> data, IInvocationBinder binder)
    {
        var reader = new MessagePackReader(data);
        int count = reader.ReadArrayHeader();
        return reader.ReadInteger() switch
        {
            HubProtocolConstants.InvocationMessageType => ParseInvocation(ref reader, binder, count),
            HubProtocolConstants.StreamInvocationMessageType => ParseStreamInvocation(ref reader, binder),
            HubProtocolConstants.CancelInvocationMessageType => ParseCancel(ref reader),
            HubProtocolConstants.PingMessageType => PingMessage.Instance,
            HubProtocolConstants.CloseMessageType => new CloseMessage(reader.ReadString(), count > 2 && reader.ReadBoolean()),
            HubProtocolConstants.AckMessageType => new AckMessage(reader.ReadInteger()),
            HubProtocolConstants.SequenceMessageType => new SequenceMessage(reader.ReadInteger()),
            _ => null,
        };
    }

    private static HubMessage ParseInvocation(ref MessagePackReader reader, IInvocationBinder binder, int count)
    {
        reader.Skip();
        string? id = reader.ReadString();
        string target = reader.ReadString() ?? throw new InvalidDataException("An invocation has no target.");
        try
        {
            object?[] arguments = ReadArguments(ref reader, binder.GetParameterTypes(target));
            string[]? streams = count > 5 ? ReadStrings(ref reader) : null;
            return new InvocationMessage(id, target, arguments, streams);
        }
        catch (Exception failure) when (failure is InvalidDataException or OverflowException)
        {
            return new InvocationBindingFailureMessage(id, target, System.Runtime.ExceptionServices.ExceptionDispatchInfo.Capture(failure));
        }
    }

    private static HubMessage ParseStreamInvocation(ref MessagePackReader reader, IInvocationBinder binder)
    {
        reader.Skip();
        string id = reader.ReadString() ?? throw new InvalidDataException("A stream invocation has no id.");
        string target = reader.ReadString() ?? throw new InvalidDataException("An invocation has no target.");
        try
        {
            return new StreamInvocationMessage(id, target, ReadArguments(ref reader, binder.GetParameterTypes(target)));
        }
        catch (Exception failure) when (failure is InvalidDataException or OverflowException)
        {
            return new InvocationBindingFailureMessage(id, target, System.Runtime.ExceptionServices.ExceptionDispatchInfo.Capture(failure));
        }
    }

    private static CancelInvocationMessage ParseCancel(ref MessagePackReader reader)
    {
        reader.Skip();
        return new CancelInvocationMessage(reader.ReadString() ?? throw new InvalidDataException("A cancellation has no id."));
    }

    private static object?[] ReadArguments(ref MessagePackReader reader, IReadOnlyList<Type> types)
    {
        int count = reader.ReadArrayHeader();
        if (count != types.Count)
        {
            throw new InvalidDataException($"The method takes {types.Count} arguments, not {count}.");
        }

        object?[] arguments = new object?[count];
        for (int i = 0; i < count; i++)
        {
            arguments[i] = ReadValue(ref reader, types[i]);
        }

        return arguments;
    }

    private static object? ReadValue(ref MessagePackReader reader, Type type)
    {
        var kind = Nullable.GetUnderlyingType(type) ?? type;
        if (kind != type && reader.TryReadNil())
        {
            return null;
        }

        return kind switch
        {
            _ when kind == typeof(string) => reader.ReadString(),
            _ when kind == typeof(byte[]) => reader.ReadBinary(),
            _ when kind == typeof(bool) => reader.ReadBoolean(),
            _ when kind == typeof(int) => checked((int)reader.ReadInteger()),
            _ when kind == typeof(long) => reader.ReadInteger(),
            _ when kind == typeof(double) => reader.ReadDouble(),
            _ when kind == typeof(string[]) => ReadStrings(ref reader),
            _ when kind == typeof(Guid) => Guid.TryParse(reader.ReadString(), out var id) ? id : throw new InvalidDataException("An id is malformed."),
            _ => throw new InvalidDataException($"Arguments of type {kind.Name} are not part of this protocol."),
        };
    }

    private static string[] ReadStrings(ref MessagePackReader reader)
    {
        string[] strings = new string[reader.ReadArrayHeader()];
        for (int i = 0; i < strings.Length; i++)
        {
            strings[i] = reader.ReadString() ?? throw new InvalidDataException("A text is missing.");
        }

        return strings;
    }

    private static void Write(HubMessage message, MessagePackWriter writer)
    {
        switch (message)
        {
            case InvocationMessage invocation:
                writer.WriteArrayHeader(6);
                writer.WriteInteger(HubProtocolConstants.InvocationMessageType);
                writer.WriteMapHeader(0);
                writer.WriteString(invocation.InvocationId);
                writer.WriteString(invocation.Target);
                WriteArguments(invocation.Arguments, writer);
                writer.WriteArrayHeader(0);
                break;
            case StreamItemMessage item:
                writer.WriteArrayHeader(4);
                writer.WriteInteger(HubProtocolConstants.StreamItemMessageType);
                writer.WriteMapHeader(0);
                writer.WriteString(item.InvocationId);
                WriteValue(item.Item, writer);
                break;
            case CompletionMessage completion:
                WriteCompletion(completion, writer);
                break;
            case PingMessage:
                writer.WriteArrayHeader(1);
                writer.WriteInteger(HubProtocolConstants.PingMessageType);
                break;
            case CloseMessage close:
                writer.WriteArrayHeader(3);
                writer.WriteInteger(HubProtocolConstants.CloseMessageType);
                writer.WriteString(close.Error);
                writer.WriteBoolean(close.AllowReconnect);
                break;
            case AckMessage ack:
                WriteSequence(HubProtocolConstants.AckMessageType, ack.SequenceId, writer);
                break;
            case SequenceMessage sequence:
                WriteSequence(HubProtocolConstants.SequenceMessageType, sequence.SequenceId, writer);
                break;
            default:
                throw new InvalidDataException($"The server does not send messages of type {message.GetType().Name}.");
        }
    }

    private static void WriteSequence(int type, long id, MessagePackWriter writer)
    {
        writer.WriteArrayHeader(2);
        writer.WriteInteger(type);
        writer.WriteInteger(id);
    }

    private static void WriteCompletion(CompletionMessage completion, MessagePackWriter writer)
    {
        int kind = completion.Error is not null ? ErrorResult : completion.HasResult ? NonVoidResult : VoidResult;
        writer.WriteArrayHeader(kind == VoidResult ? 4 : 5);
        writer.WriteInteger(HubProtocolConstants.CompletionMessageType);
        writer.WriteMapHeader(0);
        writer.WriteString(completion.InvocationId);
        writer.WriteInteger(kind);
        if (kind == ErrorResult)
        {
            writer.WriteString(completion.Error);
        }
        else if (kind == NonVoidResult)
        {
            WriteValue(completion.Result, writer);
        }
    }

    private static void WriteArguments(object?[] arguments, MessagePackWriter writer)
    {
        writer.WriteArrayHeader(arguments.Length);
        foreach (object? argument in arguments)
        {
            WriteValue(argument, writer);
        }
    }

    private static void WriteValue(object? value, MessagePackWriter writer)
    {
        switch (value)
        {
            case null:
                writer.WriteNil();
                break;
            case IMessagePackValue own:
                own.WriteTo(writer);
                break;
            case string text:
                writer.WriteString(text);
                break;
            case byte[] bytes:
                writer.WriteBinary(bytes);
                break;
            case bool flag:
                writer.WriteBoolean(flag);
                break;
            case int number:
                writer.WriteInteger(number);
                break;
            case long number:
                writer.WriteInteger(number);
                break;
            case double number:
                writer.WriteDouble(number);
                break;
            case IReadOnlyList<string> strings:
                writer.WriteArrayHeader(strings.Count);
                foreach (string element in strings)
                {
                    writer.WriteString(element);
                }

                break;
            default:
                throw new InvalidDataException($"Values of type {value.GetType().Name} are not part of this protocol.");
        }
    }

    /// <summary>One buffer a thread for the body, whose length must be known before it is sent.</summary>
    private static class BodyBuffer
    {
        private const int LargestKept = 4 << 20;

        [ThreadStatic]
        private static ArrayBufferWriter<byte>? t_free;

        public static ArrayBufferWriter<byte> Rent()
        {
            var buffer = t_free ?? new ArrayBufferWriter<byte>(4096);
            t_free = null;
            return buffer;
        }

        public static void Return(ArrayBufferWriter<byte> buffer)
        {
            if (buffer.Capacity <= LargestKept)
            {
                buffer.ResetWrittenCount();
                t_free = buffer;
            }
        }
    }
}
