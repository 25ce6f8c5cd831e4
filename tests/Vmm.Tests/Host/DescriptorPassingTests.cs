using System.Net.Sockets;
using WebVm.Vmm.Host;
using Xunit;

namespace WebVm.Vmm.Tests.Host;

/// <summary>Bytes and file descriptors over a Unix socket.</summary>
public sealed class DescriptorPassingTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("webvm-socket-");
    private readonly Socket _client = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly Socket _server;

    public DescriptorPassingTests()
    {
        var end = new UnixDomainSocketEndPoint(Path.Combine(_directory.FullName, "socket"));
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(end);
        listener.Listen(1);
        _client.Connect(end);
        _server = listener.Accept();
    }

    public void Dispose()
    {
        _client.Dispose();
        _server.Dispose();
        _directory.Delete(recursive: true);
    }

    [Fact]
    public void A_received_descriptor_is_the_same_file()
    {
        using var memory = MemoryFile.Create("shared", 4096);
        SparseFile.Write(memory.Descriptor, 0, "ping"u8);
        DescriptorPassing.Send(_client.SafeHandle, "hello"u8, [memory.Descriptor]);
        List<FileDescriptor> received = [];
        byte[] buffer = new byte[64];
        Assert.Equal(5, DescriptorPassing.Receive(_server.SafeHandle, buffer, received));
        using var other = Assert.Single(received);
        Assert.NotEqual(memory.Descriptor.Number, other.Number);
        SparseFile.Write(other, 0, "pong"u8);
        byte[] text = new byte[4];
        SparseFile.Read(memory.Descriptor, 0, text);
        Assert.Equal("pong"u8.ToArray(), text);
    }

    [Fact]
    public void Plain_bytes_come_without_descriptors()
    {
        DescriptorPassing.Send(_client.SafeHandle, "abc"u8, []);
        List<FileDescriptor> received = [];
        Assert.Equal(3, DescriptorPassing.Receive(_server.SafeHandle, new byte[8], received));
        Assert.Empty(received);
        _client.Dispose();
        Assert.Equal(0, DescriptorPassing.Receive(_server.SafeHandle, new byte[8], received));
    }

    [Fact]
    public void A_large_message_arrives_whole_through_a_non_blocking_socket()
    {
        _client.Blocking = false;
        _server.Blocking = false;
        byte[] data = new byte[4 << 20];
        new Random(5).NextBytes(data);
        using var memory = MemoryFile.Create("shared", 4096);
        var sender = new Thread(() => DescriptorPassing.Send(_client.SafeHandle, data, [memory.Descriptor]));
        sender.Start();
        List<FileDescriptor> received = [];
        byte[] back = new byte[data.Length];
        for (int at = 0; at < back.Length;)
        {
            at += DescriptorPassing.Receive(_server.SafeHandle, back.AsSpan(at), received);
        }

        sender.Join();
        Assert.True(data.AsSpan().SequenceEqual(back));
        Assert.Single(received).Dispose();
    }

    [Fact]
    public void The_peer_is_known() => Assert.Equal(Environment.ProcessId, DescriptorPassing.PeerOf(_server.SafeHandle).ProcessId);
}
