"""Sequence cores: one recurrence in two forms, knowing nothing of states, actions or rewards."""

from beeline.sequence._base import SequenceCore
from beeline.sequence.gru import GRU
from beeline.sequence.lstm import LSTM
from beeline.sequence.rnn import RNN
from beeline.sequence.self_attention import SelfAttention
from beeline.sequence.ssm import SSM
from beeline.sequence.transformer import Transformer

__all__ = ["GRU", "LSTM", "RNN", "SSM", "SelfAttention", "SequenceCore", "Transformer"]
