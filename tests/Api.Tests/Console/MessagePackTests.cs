using System.Buffers;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Protocol;
using WebVm.Api.Console;
using Xunit;

namespace WebVm.Api.Tests.Console;

public sealed class MessagePackTests
{
    private static readonly ConsoleProtocol s_protocol = new();

    // aspnetcore, HubProtocol.md: "Invocation" with the example's bytes, one argument 42.
    private static readonly byte[] s_invocation = [0x96, 0x01, 0x80, 0xa3, 0x78, 0x79, 0x7a, 0xa6, 0x6d, 0x65, 0x74, 0x68, 0x6f, 0x64, 0x91,
        0x2a, 0x90];

    [Fact]
    public void The_specifications_invocation_is_read()
    {
        var message = Assert.IsType<InvocationMessage>(Read(Frame(s_invocation), typeof(int)));
        Assert.Equal("xyz", message.InvocationId);
        Assert.Equal("method", message.Target);
        Assert.Equal([42], message.Arguments);
    }

    [Fact]
    public void A_message_that_is_not_there_yet_is_waited_for()
    {
        byte[] whole = Frame(s_invocation);
        for (int length = 0; length < whole.Length; length++)
        {
            var input = new ReadOnlySequence<byte>(whole, 0, length);
            Assert.False(s_protocol.TryParseMessage(ref input, new Binder(typeof(int)), out _));
            Assert.Equal(length, input.Length);
        }
    }

    [Fact]
    public void What_is_written_is_read_back_in_pieces()
    {
        byte[] large = new byte[70_000];
        new Random(3).NextBytes(large);
        var id = Guid.NewGuid();
        object[] arguments = ["text", -33L, 1L << 40, true, large, 0.5, new[] { "a", "" }, id];
        byte[] bytes = s_protocol.GetMessageBytes(new InvocationMessage("call", arguments)).ToArray();
        var message = Assert.IsType<InvocationMessage>(
            Read(bytes, typeof(string), typeof(long), typeof(long), typeof(bool), typeof(byte[]), typeof(double), typeof(string[]),
                typeof(Guid)));
        Assert.Equal(arguments, message.Arguments);
    }

    [Fact]
    public void An_argument_of_the_wrong_type_fails_the_call_not_the_connection()
    {
        var message = Assert.IsType<InvocationBindingFailureMessage>(Read(Frame(s_invocation), typeof(string)));
        Assert.Equal("method", message.Target);
    }

    [Fact]
    public void No_type_is_read_or_written_by_its_members()
    {
        Assert.ThrowsAny<Exception>(() => s_protocol.GetMessageBytes(new InvocationMessage("call", [new Random(5)])));
        Assert.IsType<InvocationBindingFailureMessage>(Read(Frame(s_invocation), typeof(Random)));
        Assert.IsType<InvocationBindingFailureMessage>(Read(Frame(s_invocation), typeof(object[])));
    }

    [Fact]
    public void Random_bytes_never_do_more_than_end_the_connection()
    {
        var random = new Random(4);
        for (int round = 0; round < 20_000; round++)
        {
            byte[] bytes = [.. s_invocation];
            for (int i = random.Next(1, 4); i > 0; i--)
            {
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            }

            try
            {
                Read(Frame(bytes[..random.Next(1, bytes.Length + 1)]), typeof(int));
            }
            catch (InvalidDataException)
            {
                // What SignalR answers by closing the connection.
            }
        }
    }

    [Fact]
    public void What_is_nested_without_end_ends_the_connection_at_most()
    {
        byte[] nested = [.. Enumerable.Repeat((byte)0x91, 200_000)];
        Assert.IsType<InvocationBindingFailureMessage>(Read(Frame([.. s_invocation[..15], .. nested]), typeof(string)));
        Assert.Throws<InvalidDataException>(() => Read(Frame([.. s_invocation[..2], .. nested]), typeof(string)));
    }

    [Fact]
    public void Unknown_kinds_of_message_are_passed_over_however_many()
    {
        byte[] unknown = Frame([0x91, 0x7f]);
        byte[] many = [.. Enumerable.Repeat(unknown, 200_000).SelectMany(frame => frame), .. Frame([0x91, 0x06])];
        Assert.IsType<PingMessage>(Read(many));
    }

    private static byte[] Frame(byte[] body) => body.Length < 0x80
        ? [(byte)body.Length, .. body]
        : [(byte)(body.Length | 0x80), (byte)(body.Length >> 7 | 0x80), (byte)(body.Length >> 14), .. body];

    private static HubMessage? Read(byte[] bytes, params Type[] types)
    {
        var input = new ReadOnlySequence<byte>(bytes);
        return s_protocol.TryParseMessage(ref input, new Binder(types), out var message) ? message : null;
    }

    private sealed class Binder(params Type[] types) : IInvocationBinder
    {
        public Type GetReturnType(string invocationId) => typeof(object);

        public IReadOnlyList<Type> GetParameterTypes(string methodName) => types;

        public Type GetStreamItemType(string streamId) => typeof(object);
    }
}
