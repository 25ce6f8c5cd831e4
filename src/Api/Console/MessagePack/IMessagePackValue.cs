namespace WebVm.Api.Console.MessagePack;

/// <summary>A hub method's argument or result that writes itself: how frames go out without a copy.</summary>
internal interface IMessagePackValue
{
    void WriteTo(MessagePackWriter writer);
}
