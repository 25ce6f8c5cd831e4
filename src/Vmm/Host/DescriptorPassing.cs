using System.Runtime.InteropServices;
using Tmds.Linux;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>
/// Sends and receives file descriptors beside bytes over a connected Unix stream socket (unix(7), SCM_RIGHTS). The socket may be a
/// <see cref="System.Net.Sockets.Socket"/>'s SafeHandle, blocking or not.
/// </summary>
public static unsafe class DescriptorPassing
{
    /// <summary>More in one message is refused, on either side.</summary>
    public const int MaxDescriptors = 16;

    private static readonly int s_header = sizeof(cmsghdr);

    /// <summary>Sends all of the bytes; the descriptors arrive with the first of them. At least one byte is needed.</summary>
    /// <exception cref="LinuxException">The peer is gone (EPIPE), or the host failed.</exception>
    public static void Send(SafeHandle socket, ReadOnlySpan<byte> data, ReadOnlySpan<FileDescriptor> descriptors)
    {
        ArgumentOutOfRangeException.ThrowIfZero(data.Length);
        for (int sent = 0; sent < data.Length;)
        {
            sent += Send(socket, data[sent..], sent == 0 ? descriptors : [], wait: true);
        }
    }

    /// <summary>Sends what the socket takes at this moment; the descriptors go with the first byte.</summary>
    /// <returns>Bytes that were sent. None when the peer has too much to read already.</returns>
    /// <exception cref="LinuxException">The peer is gone (EPIPE), or the host failed.</exception>
    public static int TrySend(SafeHandle socket, ReadOnlySpan<byte> data, ReadOnlySpan<FileDescriptor> descriptors)
    {
        ArgumentOutOfRangeException.ThrowIfZero(data.Length);
        return Send(socket, data, descriptors, wait: false);
    }

    private static int Send(SafeHandle socket, ReadOnlySpan<byte> data, ReadOnlySpan<FileDescriptor> descriptors, bool wait)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(descriptors.Length, MaxDescriptors);
        byte* control = stackalloc byte[ControlSpace(MaxDescriptors)];
        using var held = new HandleLease(socket);
        int leased = 0;
        try
        {
            var header = (cmsghdr*)control;
            header->cmsg_level = LibC.SOL_SOCKET;
            header->cmsg_type = LibC.SCM_RIGHTS;
            header->cmsg_len = s_header + (descriptors.Length * sizeof(int));
            var numbers = (int*)(control + s_header);
            for (; leased < descriptors.Length; leased++)
            {
                bool added = false;
                descriptors[leased].DangerousAddRef(ref added);
                numbers[leased] = descriptors[leased].Number;
            }

            fixed (byte* start = data)
            {
                var vector = new iovec { iov_base = start, iov_len = data.Length };
                var message = new msghdr { msg_iov = &vector, msg_iovlen = 1 };
                if (descriptors.Length > 0)
                {
                    message.msg_control = control;
                    message.msg_controllen = ControlSpace(descriptors.Length);
                }

                while (true)
                {
                    long count = LibC.sendmsg(held.Number, &message, LibC.MSG_NOSIGNAL | (wait ? 0 : LibC.MSG_DONTWAIT));
                    if (count >= 0)
                    {
                        return (int)count;
                    }

                    if (!wait && LinuxException.Last("sendmsg") is { Errno: ErrorNumber.EAGAIN })
                    {
                        return 0;
                    }

                    WaitOrThrow(held.Number, LibC.POLLOUT, "sendmsg");
                }
            }
        }
        finally
        {
            while (leased > 0)
            {
                descriptors[--leased].DangerousRelease();
            }
        }
    }

    /// <summary>
    /// Receives what is there, waiting for the first byte. 0 when the peer closed. Received descriptors belong to the caller, who closes
    /// them.
    /// </summary>
    /// <exception cref="InvalidDataException">The peer sent more than <see cref="MaxDescriptors"/>; none is kept.</exception>
    public static int Receive(SafeHandle socket, Span<byte> buffer, ICollection<FileDescriptor> descriptors)
    {
        ArgumentOutOfRangeException.ThrowIfZero(buffer.Length);
        byte* control = stackalloc byte[ControlSpace(MaxDescriptors)];
        using var held = new HandleLease(socket);
        fixed (byte* start = buffer)
        {
            var vector = new iovec { iov_base = start, iov_len = buffer.Length };
            msghdr message;
            long count;
            while (true)
            {
                message = new msghdr { msg_iov = &vector, msg_iovlen = 1, msg_control = control, msg_controllen = ControlSpace(
                    MaxDescriptors) };
                count = LibC.recvmsg(held.Number, &message, LibC.MSG_CMSG_CLOEXEC);
                if (count >= 0)
                {
                    break;
                }

                WaitOrThrow(held.Number, LibC.POLLIN, "recvmsg");
            }

            var received = TakeDescriptors(control, (int)message.msg_controllen);
            if ((message.msg_flags & LibC.MSG_CTRUNC) != 0)
            {
                received.ForEach(descriptor => descriptor.Dispose());
                throw new InvalidDataException($"The peer sent more than {MaxDescriptors} file descriptors in one message.");
            }

            received.ForEach(descriptors.Add);
            return (int)count;
        }
    }

    /// <summary>Process, user and group that connected the other end (SO_PEERCRED).</summary>
    public static (int ProcessId, uint UserId, uint GroupId) PeerOf(SafeHandle socket)
    {
        using var held = new HandleLease(socket);
        ucred credentials;
        socklen_t length = sizeof(ucred);
        return LibC.getsockopt(held.Number, LibC.SOL_SOCKET, LibC.SO_PEERCRED, &credentials, &length) == 0
            ? (credentials.pid, credentials.uid, credentials.gid)
            : throw LinuxException.Last("getsockopt");
    }

    private static List<FileDescriptor> TakeDescriptors(byte* control, int length)
    {
        List<FileDescriptor> received = [];
        for (int at = 0; at + s_header <= length;)
        {
            var header = (cmsghdr*)(control + at);
            if (header->cmsg_len < s_header || header->cmsg_len > length - at)
            {
                break;
            }

            if (header->cmsg_level == LibC.SOL_SOCKET && header->cmsg_type == LibC.SCM_RIGHTS)
            {
                int count = ((int)header->cmsg_len - s_header) / sizeof(int);
                for (int index = 0; index < count; index++)
                {
                    received.Add(new FileDescriptor(((int*)(control + at + s_header))[index]));
                }
            }

            at += ((int)header->cmsg_len + 7) & ~7; // CMSG_ALIGN
        }

        return received;
    }

    private static int ControlSpace(int descriptors) => s_header + (((descriptors * sizeof(int)) + 7) & ~7); // CMSG_SPACE

    private static void WaitOrThrow(int descriptor, short events, string call)
    {
        var failure = LinuxException.Last(call);
        if (failure.Errno == ErrorNumber.EAGAIN)
        {
            var poll = new pollfd { fd = descriptor, events = events };
            _ = LibC.poll(&poll, 1, -1);
        }
        else if (failure.Errno != ErrorNumber.EINTR)
        {
            throw failure;
        }
    }
}
