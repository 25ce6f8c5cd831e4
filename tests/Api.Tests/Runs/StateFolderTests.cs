using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using WebVm.Api.Runs;
using WebVm.Vmm.Host;
using Xunit;

namespace WebVm.Api.Tests.Runs;

/// <summary>States that a monitor saves which nobody trusts.</summary>
public sealed class StateFolderTests : IDisposable
{
    private const string Ours = """{"kernel":"00000000000000000000000000000001/content","initrd":null}""";
    private const string Theirs = """{"kernel":"00000000000000000000000000000002/content","initrd":null}""";

    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-state-").FullName;
    private readonly List<FileDescriptor> _kept = [];

    public void Dispose()
    {
        _kept.ForEach(file => file.Dispose());
        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Which_images_a_machine_boots_is_not_the_monitors_to_say(bool known)
    {
        var run = new RunDirectory(_folder, "run");
        run.Create();
        if (known)
        {
            PrivateFile.Write(run.Boot, Encoding.UTF8.GetBytes(Ours));
        }

        using var listener = UnixSocket.Listen(run.Control);
        var monitor = Task.Factory.StartNew(() => Serve(listener), TaskCreationOptions.LongRunning);
        string saved = Path.Combine(_folder, "saved");
        await StateFolder.SaveAsync(run, saved, _ => { }, Rest.Cancellation).WaitAsync(Rest.Patience, Rest.Cancellation);
        await monitor.WaitAsync(Rest.Patience, Rest.Cancellation);
        // It still has what it was handed.
        _kept.ForEach(file => SparseFile.Write(file, 0, Encoding.UTF8.GetBytes(Theirs)));
        Assert.Equal(known ? "00000000000000000000000000000001/content" : null, BootFiles.Read(saved)?.Kernel);
        Assert.True(File.Exists(Path.Combine(saved, "machine.json")));
    }

    private void Serve(FileDescriptor listener)
    {
        using var socket = UnixSocket.Accept(listener);
        Send(socket, """{"protocol":"webvm-control","version":2,"machine":"vm","processId":1}""");
        byte[] buffer = new byte[64 * 1024];
        int filled = 0;
        while (true)
        {
            List<FileDescriptor> handed = [];
            int count = DescriptorPassing.Receive(socket, buffer.AsSpan(filled), handed);
            if (count == 0)
            {
                return;
            }

            filled += count;
            foreach (var file in handed)
            {
                SparseFile.Write(file, 0, Encoding.UTF8.GetBytes(Theirs));
                _kept.Add(file);
            }

            while (filled >= 4 && BinaryPrimitives.ReadInt32LittleEndian(buffer) is var length && filled >= 4 + length)
            {
                using var request = JsonDocument.Parse(buffer.AsMemory(4, length));
                string result = request.RootElement.GetProperty("method").GetString() switch
                {
                    "save-files" => """{"files":[{"name":"machine.json"},{"name":"boot.json"}]}""",
                    "save" => """{"memoryBytes":1}""",
                    _ => "{}",
                };
                Send(socket, $$"""{"id":{{request.RootElement.GetProperty("id")}},"result":{{result}},"descriptors":0}""");
                buffer.AsSpan(4 + length, filled - 4 - length).CopyTo(buffer);
                filled -= 4 + length;
            }
        }
    }

    private static void Send(FileDescriptor socket, string json)
    {
        byte[] body = Encoding.UTF8.GetBytes(json);
        byte[] frame = new byte[4 + body.Length];
        BinaryPrimitives.WriteInt32LittleEndian(frame, body.Length);
        body.CopyTo(frame, 4);
        DescriptorPassing.Send(socket, frame, []);
    }
}
