using System.Buffers.Binary;
using System.IO.Pipes;
using System.Text;
using System.Text.Json;
using WebVm.Vmm.Host;
using WebVm.Vmm.State;
using Xunit;

namespace WebVm.Vmm.Tests.State;

public sealed class StreamTests : IDisposable
{
    private const int Page = 4096;
    private static readonly StateContents s_memory = new("ram0", 64 * Page);

    private static readonly StateSection[] s_sections =
    [
        new("machine", "machine", 1, JsonElement.Parse("""{"text":"é"}""")),
        new("device/a", "scripted", 3, JsonElement.Parse("""{"value":42}""")),
    ];

    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-stream").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_state_goes_through_a_pipe_in_one_piece()
    {
        using var memory = Contents((0, 1), (7, 2), (63, 3));
        using var pipe = new AnonymousPipeServerStream(PipeDirection.Out);
        using var far = new AnonymousPipeClientStream(PipeDirection.In, pipe.ClientSafePipeHandle);
        var writing = Task.Run(() =>
        {
            Write(pipe, memory);
            pipe.Dispose();
        }, TestContext.Current.CancellationToken);
        using var target = Empty();
        var sections = Read(far, target);
        await writing;
        Assert.Equal(
            s_sections.Select(section => (section.Unit, section.Schema, section.Version)),
            sections.Select(section => (section.Unit, section.Schema, section.Version)));
        Assert.All(sections.Zip(s_sections), pair => Assert.True(JsonElement.DeepEquals(pair.First.Body, pair.Second.Body)));
        Assert.Equal(Bytes(memory), Bytes(target));
        // Zeros are neither sent nor written.
        Assert.Equal(3 * Page, SparseFile.DataLength(target));
    }

    [Fact]
    public void A_stream_that_ends_early_is_no_state()
    {
        byte[] sound = Sound();
        for (int length = 0; length < sound.Length; length += length < 600 || length > sound.Length - 100 ? 1 : 97)
        {
            Assert.Contains("it ends in the middle", Refused(sound[..length]), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_bit_that_turned_is_noticed_wherever_it_is()
    {
        byte[] sound = Sound();
        for (int at = 0; at < sound.Length; at += at < 600 || at > sound.Length - 100 ? 1 : 97)
        {
            byte[] turned = [.. sound];
            turned[at] ^= (byte)(1 << (at % 8));
            Assert.NotEmpty(Refused(turned));
        }
    }

    [Theory]
    [InlineData(new[] { 0, 0, 1, 2, 3, 4 })]
    [InlineData(new[] { 1, 0, 2, 3, 4 })]
    [InlineData(new[] { 0, 2, 3, 4 })]
    [InlineData(new[] { 0, 1, 2, 4 })]
    [InlineData(new[] { 0, 1, 2, 3, 3, 4 })]
    [InlineData(new[] { 0, 1, 3, 2, 4 })]
    public void Sound_frames_in_another_order_are_refused(int[] order)
    {
        byte[] sound = Sound((5, 9));
        var frames = new List<byte[]>();
        for (int at = StreamFormat.Preface.Length; at < sound.Length;)
        {
            int length = StreamFormat.HeaderLength + BinaryPrimitives.ReadInt32LittleEndian(sound.AsSpan(at + 4))
                + StreamFormat.ChecksumLength;
            frames.Add(sound[at..(at + length)]);
            at += length;
        }

        Assert.Equal(5, frames.Count);
        Assert.Contains(
            "a checksum does not fit", Refused([.. sound[..StreamFormat.Preface.Length], .. order.SelectMany(index => frames[index])]),
            StringComparison.Ordinal);
    }

    /// <summary>Whoever wants to can make checksums fit.</summary>
    public static TheoryData<string, string, int, string> HostileFrames => new()
    {
        { "a kind that is not", "", 9, "a frame of kind 9" },
        { "no JSON", "{", (int)StreamFrame.Section, "not sound JSON" },
        { "a name twice", """{"unit":"a","unit":"b","schema":"s","version":1,"body":{}}""", (int)StreamFrame.Section, "not sound JSON" },
        { "half a surrogate", """{"unit":"\ud800","schema":"s","version":1,"body":{}}""", (int)StreamFrame.Section, "not sound JSON" },
        { "no UTF-8", "\u00ff", (int)StreamFrame.Section, "not UTF-8" },
        { "a member too many", """{"unit":"a","schema":"s","version":1,"body":{},"more":1}""", (int)StreamFrame.Section,
            "a section is none" },
        { "a member too few", """{"unit":"a","schema":"s","version":1}""", (int)StreamFrame.Section, "a section is none" },
        { "null", "null", (int)StreamFrame.Section, "empty" },
        { "depth", string.Concat(Enumerable.Repeat("[", 40)), (int)StreamFrame.Section, "not sound JSON" },
        { "data before contents", Offset(0) + new string('x', Page), (int)StreamFrame.Data, "does not have the" },
        { "an end at once", Offset(0) + Offset(0), (int)StreamFrame.End, "does not have the" },
        { "other contents", Offset(64 * Page) + "ram1", (int)StreamFrame.Contents, "does not have the" },
        { "more contents", Offset(65 * Page) + "ram0", (int)StreamFrame.Contents, "does not have the" },
        { "contents without a name", Offset(64 * Page), (int)StreamFrame.Contents, "with 8 bytes" },
    };

    [Theory]
    [MemberData(nameof(HostileFrames))]
    public void A_hostile_frame_is_refused(string what, string payload, int kind, string because)
    {
        Assert.NotEmpty(what);
        Assert.Contains(because, Refused(Hostile((kind, Encoding.Latin1.GetBytes(payload)))), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(64, Page, "where they cannot be")]
    [InlineData(long.MaxValue / Page, Page, "where they cannot be")]
    [InlineData(63, 2 * Page, "where they cannot be")]
    [InlineData(0, Page + 1, "where they cannot be")]
    [InlineData(0, Page - 1, "with 4103 bytes")]
    [InlineData(0, (1 << 20) + Page, "with 1052680 bytes")]
    public void Data_that_does_not_lie_in_its_memory_is_refused(long page, int length, string because)
    {
        byte[] contents = Encoding.Latin1.GetBytes(Offset(64 * Page) + "ram0");
        byte[] data = [.. Encoding.Latin1.GetBytes(Offset(page * Page)), .. new byte[length]];
        Assert.Contains(
            because, Refused(Hostile(((int)StreamFrame.Contents, contents), ((int)StreamFrame.Data, data))), StringComparison.Ordinal);
    }

    [Fact]
    public void Data_that_goes_back_is_refused()
    {
        byte[] contents = Encoding.Latin1.GetBytes(Offset(64 * Page) + "ram0");
        byte[] data = [.. Encoding.Latin1.GetBytes(Offset(Page)), .. new byte[Page]];
        Assert.Contains(
            "where they cannot be", Refused(
                Hostile(((int)StreamFrame.Contents, contents), ((int)StreamFrame.Data, data), ((int)StreamFrame.Data, data))),
            StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_frame_claims_is_bounded_before_there_is_room_for_it()
    {
        byte[] header = new byte[StreamFormat.HeaderLength];
        BinaryPrimitives.WriteUInt32LittleEndian(header, (uint)StreamFrame.Section);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(4), uint.MaxValue);
        Assert.Contains("with 4294967295 bytes", Refused([.. StreamFormat.Preface, .. header]), StringComparison.Ordinal);
    }

    [Fact]
    public void Sections_have_an_end()
    {
        byte[] section = Encoding.UTF8.GetBytes("""{"unit":"a","schema":"s","version":1,"body":{}}""");
        Assert.Contains(
            "more than 4096 sections", Refused(Hostile([.. Enumerable.Repeat(((int)StreamFrame.Section, section), 5000)])),
            StringComparison.Ordinal);
        byte[] large = Encoding.UTF8.GetBytes($$$"""{"unit":"a","schema":"s","version":1,"body":{"x":"{{{new string('x', 9 << 20)}}}"}}""");
        Assert.Contains(
            "a frame of kind Section", Refused(Hostile(((int)StreamFrame.Section, large), ((int)StreamFrame.Section, large))),
            StringComparison.Ordinal);
    }

    [Fact]
    public void Another_format_is_refused_by_its_version()
    {
        byte[] sound = Sound();
        sound[StreamFormat.Preface.Length - 1] = 2;
        Assert.Contains("its format is version 2; this build reads version 1", Refused(sound), StringComparison.Ordinal);
    }

    /// <summary>RFC 3720 appendix B.4.</summary>
    [Fact]
    public void The_checksum_is_the_one_of_the_standard()
    {
        var checksum = new StreamChecksum();
        checksum.Add(new byte[32]);
        Assert.Equal(0x8a9136aau, checksum.Value);
        checksum = new StreamChecksum();
        checksum.Add([.. Enumerable.Range(0, 13).Select(value => (byte)value)]);
        checksum.Add([.. Enumerable.Range(13, 19).Select(value => (byte)value)]);
        Assert.NotEqual(0u, checksum.Value);
        var whole = new StreamChecksum();
        whole.Add([.. Enumerable.Range(0, 32).Select(value => (byte)value)]);
        Assert.Equal(0x46dd794eu, whole.Value);
        Assert.Equal(whole.Value, checksum.Value);
    }

    private static string Offset(long value)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        return Encoding.Latin1.GetString(bytes);
    }

    private byte[] Sound(params (int Page, byte Fill)[] pages)
    {
        using var memory = Contents(pages.Length > 0 ? pages : [(0, 1), (7, 2)]);
        var stream = new MemoryStream();
        Write(stream, memory);
        return stream.ToArray();
    }

    private static void Write(Stream stream, FileDescriptor memory)
    {
        var sink = new StreamSink(stream);
        sink.WriteSections(s_sections);
        sink.WriteContents(s_memory, memory);
        sink.Complete();
    }

    private static byte[] Hostile(params (int Kind, byte[] Payload)[] frames)
    {
        var stream = new MemoryStream();
        var checksum = new StreamChecksum();
        checksum.Add(StreamFormat.Preface);
        stream.Write(StreamFormat.Preface);
        foreach (var (kind, payload) in frames)
        {
            byte[] frame = new byte[StreamFormat.HeaderLength + payload.Length];
            BinaryPrimitives.WriteInt32LittleEndian(frame, kind);
            BinaryPrimitives.WriteInt32LittleEndian(frame.AsSpan(4), payload.Length);
            payload.CopyTo(frame, StreamFormat.HeaderLength);
            checksum.Add(frame);
            stream.Write(frame);
            stream.Write(BitConverter.GetBytes(checksum.Value));
        }

        return stream.ToArray();
    }

    private static IReadOnlyList<StateSection> Read(Stream stream, FileDescriptor target)
    {
        var source = new StreamSource(stream, "a stream");
        var sections = source.ReadSections();
        source.ReadContents(s_memory, target);
        source.Complete();
        return sections;
    }

    private string Refused(byte[] bytes)
    {
        using var target = Empty();
        string message = Assert.Throws<InvalidDataException>(() => Read(new MemoryStream(bytes), target)).Message;
        Assert.StartsWith("'a stream' is no saved machine: ", message, StringComparison.Ordinal);
        return message;
    }

    private FileDescriptor Empty()
    {
        var file = SparseFile.CreateNew(Path.Combine(_folder, Guid.NewGuid().ToString("n")));
        SparseFile.SetLength(file, (long)s_memory.Size);
        return file;
    }

    private FileDescriptor Contents(params (int Page, byte Fill)[] pages)
    {
        var file = Empty();
        foreach (var (page, fill) in pages)
        {
            byte[] bytes = new byte[Page];
            bytes.AsSpan().Fill(fill);
            SparseFile.Write(file, page * Page, bytes);
        }

        return file;
    }

    private static byte[] Bytes(FileDescriptor file)
    {
        byte[] bytes = new byte[s_memory.Size];
        for (int done = 0; done < bytes.Length;)
        {
            done += SparseFile.Read(file, done, bytes.AsSpan(done));
        }

        return bytes;
    }
}
